"""Decides which version answers a request, from the newest routing table. Every operation begins here."""

from dataclasses import dataclass
from functools import cache

from modelyard_routing.decide import decide
from modelyard_routing.decision import Reason, Refusal, RefusalCode, RouteDecision, RouteRequest
from modelyard_routing.receipt import Receipt, receipt_of
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.access.principals import Principal, lacking
from prometheus_client import Counter

from modelyard_router.metrics import DECISIONS
from modelyard_router.problems import RoutesUnknownError, problem_of
from modelyard_router.state import RoutingState


def refuse_unless_may_predict(caller: Principal) -> None:
    """Raise ForbiddenError if the caller has the permission in no project. Check this before reading the body."""
    if not caller.may_somewhere(Permission.PREDICTIONS_MAKE):
        raise lacking(caller, Permission.PREDICTIONS_MAKE, where="any project")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Decides, and says why. `secret` keys the hashes that stand for units."""

    state: RoutingState
    secret: bytes

    def decide(self, request: RouteRequest, *, caller: Principal) -> RouteDecision:
        """Return the decision for a request, and count it.

        Raises ForbiddenError when the caller may not predict in the request's project, RoutesUnknownError until the
        routes are known, and else the problem that stands for the refusal.
        """
        caller.refuse_unless_may(Permission.PREDICTIONS_MAKE, request.project)
        if not self.state.has_caught_up:
            raise RoutesUnknownError("The router has not read the routes yet.")
        decision = decide(self.state.table, request)
        if isinstance(decision, Refusal):
            _count(decision.code)
            raise problem_of(decision)
        _count(decision.reason)
        return decision

    def receipt(self, decision: RouteDecision, request: RouteRequest, *, request_id: str) -> Receipt:
        """Return the receipt of a decision for one request."""
        return receipt_of(decision, request, request_id=request_id, secret=self.secret)


@cache
def _decisions(outcome: Reason | RefusalCode) -> Counter:
    """The counter of one outcome; looking up its label each time would cost more than deciding."""
    return DECISIONS.labels(outcome.value)


def _count(outcome: Reason | RefusalCode) -> None:
    _decisions(outcome).inc()
