"""Deciding, for callers who ask the endpoint themselves; and the decision that a prediction begins with."""

from dataclasses import dataclass, field
from functools import cache

import orjson
from modelyard_routing.decide import decide
from modelyard_routing.decision import Decision, Reason, Refusal, RefusalCode, Request
from modelyard_routing.receipt import Receipt, receipt_of
from modelyard_routing.routing_table import RoutingTable
from modelyard_runtime.ids import NewId
from modelyard_runtime.permissions import Permission
from modelyard_runtime.principals import Principal, lacking
from prometheus_client import Counter

from modelyard_router.domain.attributes import attributes_of
from modelyard_router.domain.json_body import DuplicateMemberError, TooManyValuesError, json_in
from modelyard_router.facts import Facts
from modelyard_router.metrics import DECISIONS
from modelyard_router.problems import (
    BodyTooLargeError,
    DuplicateKeyError,
    MalformedBodyError,
    RoutesUnknownError,
    problem_of,
)
from modelyard_router.state import RouteState


def json_of(body: bytes) -> object:
    """The JSON value in a request's body. Raises MalformedBodyError, DuplicateKeyError or BodyTooLargeError."""
    try:
        return json_in(body)
    except DuplicateMemberError as error:
        raise DuplicateKeyError(f"In the body {error}.", fix="Give each member once.") from error
    except TooManyValuesError as error:
        raise BodyTooLargeError(f"The body is too large: {error}.", fix="Send fewer rows in one request.") from error
    except ValueError as error:
        raise MalformedBodyError(f"The body is not JSON: {error}.", fix="Send a JSON object as UTF-8.") from error


def refuse_unless_may_predict(caller: Principal) -> None:
    """Raise ForbiddenError for a caller who may ask for predictions nowhere, before its body costs anything."""
    if not caller.may_somewhere(Permission.PREDICTIONS_MAKE):
        raise lacking(caller, Permission.PREDICTIONS_MAKE, where="any project")


@dataclass(slots=True, kw_only=True)
class Handlers:
    """Decisions from the newest routing table."""

    state: RouteState
    facts: Facts
    new_id: NewId
    secret: bytes
    _rendered_from: RoutingTable | None = field(default=None, init=False)
    _rendered: dict[Decision, bytes] = field(default_factory=dict, init=False)

    def decide(self, request: Request, *, caller: Principal) -> Decision:
        """The decision for a request. Raises the problem that stands for a refusal, of the caller or of the request."""
        caller.refuse_unless_may(Permission.PREDICTIONS_MAKE, request.project)
        if not self.state.has_caught_up:
            raise RoutesUnknownError(
                "The router has not read the routes yet.", fix="Try again in a moment; /readyz says what it waits for."
            )
        decision = decide(self.state.table, request)
        if isinstance(decision, Refusal):
            _count(decision.code)
            raise problem_of(decision)
        _count(decision.reason)
        return decision

    def receipt(self, decision: Decision, request: Request, *, request_id: str) -> Receipt:
        """The receipt of a decision."""
        return receipt_of(decision, request, request_id=request_id, secret=self.secret)

    def route(self, body: bytes, caller: Principal) -> bytes:
        """Answer `/v1/route`: which version and endpoint serve this request, and why."""
        refuse_unless_may_predict(caller)
        request = attributes_of(json_of(body)).request
        decision = self.decide(request, caller=caller)
        receipt = self.receipt(decision, request, request_id=self.new_id())
        if receipt.variant is not None:
            self.facts.record_exposure(decision, receipt, request)
        return b'%b,"shadow_version_id":%b,"unit_hash":%b}}' % (
            self._shared(decision),
            orjson.dumps(receipt.shadow_version_id),
            orjson.dumps(receipt.unit_hash),
        )

    def _shared(self, decision: Decision) -> bytes:
        """The part of the answer that all requests with this decision share, rendered once."""
        if self._rendered_from is not self.state.table:
            self._rendered_from = self.state.table
            self._rendered.clear()
        rendered = self._rendered.get(decision)
        if rendered is None:
            rendered = self._rendered[decision] = _render(decision)
        return rendered


@cache
def _decisions(outcome: Reason | RefusalCode) -> Counter:
    """The counter of one outcome; looking up its label each time would cost more than deciding."""
    return DECISIONS.labels(outcome.value)


def _count(outcome: Reason | RefusalCode) -> None:
    _decisions(outcome).inc()


def _render(decision: Decision) -> bytes:
    version, endpoint = decision.served.version, decision.served.endpoint
    document = {
        "model": version.model,
        "number": version.number,
        "semver": version.semver,
        "version_id": version.version_id,
        "digest": version.digest,
        "stage": version.stage,
        "endpoint": {
            "url": endpoint.url,
            "protocol": endpoint.protocol,
            "inputs": [{"name": feature.name, "datatype": feature.datatype} for feature in endpoint.inputs],
            "timeout_s": endpoint.timeout_s,
        },
        # Last, and open at its end: what differs between requests follows.
        "receipt": {
            "passed_over": decision.passed_over,
            **dict(zip(Receipt._fields, decision.receipt_facts, strict=False)),
        },
    }
    return orjson.dumps(document)[:-2]
