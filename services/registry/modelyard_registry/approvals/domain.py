"""A transition request: its states, and who may decide about it.

pending → approved / rejected / withdrawn / expired, approved → applied / rejected / withdrawn / expired.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from modelyard_events.values import Endpoint, Stage
from modelyard_runtime.access.permissions import Role
from modelyard_runtime.access.principals import Identity
from modelyard_runtime.problems import ConflictError

from modelyard_registry.approvals.bound import Bound
from modelyard_registry.deployments.domain import Health
from modelyard_registry.policies.domain import Apply


class RequestClosedError(ConflictError):
    """The transition request has come to its end."""

    code = "request-closed"
    when = "The transition request is applied, rejected, withdrawn or expired."
    fix = "Make another request if the move is still wanted."


class SelfApprovalError(ConflictError):
    """Nobody decides about a request of their own."""

    code = "self-approval"
    status = 403
    when = "The caller made the request, or may be the person who made it."
    fix = "Ask somebody else; you can withdraw it."


class ApproverRoleMissingError(ConflictError):
    """The caller has not the role that decides about this request."""

    code = "approver-role-missing"
    status = 403
    when = "The caller lacks the role that policy demands of approvers."
    fix = "Ask somebody with the role that the request names."


class NotRequesterError(ConflictError):
    """Only who made a request withdraws it."""

    code = "not-requester"
    status = 403
    when = "Somebody else than the requester tries to withdraw the request."
    fix = "Reject it, if you may decide about it."


class AlreadyDecidedError(ConflictError):
    """Nobody decides twice about one request."""

    code = "already-decided"
    when = "The caller has decided about this request, or may be a person who has."
    fix = "Ask somebody else."


class ApprovalsMissingError(ConflictError):
    """Not enough people who may agree have agreed."""

    code = "approvals-missing"
    when = "The request is to be applied with fewer valid approvals than policy demands."
    fix = "Ask people with the role that the request names to look at it."


class RequestState(StrEnum):
    """Where a transition request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    APPLIED = "applied"


OPEN = frozenset({RequestState.PENDING, RequestState.APPROVED})


class DecisionKind(StrEnum):
    """What an approver said."""

    APPROVAL = "approval"
    REJECTION = "rejection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One recorded decision by one approver."""

    actor: str
    kind: DecisionKind
    comment: str | None
    decided_at: datetime
    decider: Identity | None = None
    """Who stood behind the actor then."""

    @property
    def who(self) -> Identity:
        """Who decided, and who stood behind them."""
        return self.decider or Identity(actor=self.actor, stands_for=self.actor)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposedDeployment:
    """Where a version that is served is to answer, once others have agreed.

    `skip_probe_reason` is why the endpoint is not asked for an answer then; None when it is.
    """

    endpoint: Endpoint
    health: Health
    skip_probe_reason: str | None = None

    def document(self) -> dict[str, Any]:
        """It as JSON has it."""
        endpoint = self.endpoint.model_dump(mode="json")
        return {"endpoint": endpoint, "health": self.health, "skip_probe_reason": self.skip_probe_reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRequest:
    """A move that waits for agreement. `state` is as recorded; `state_at` knows that time has passed.

    With a `deployment` the version stays in its stage and is to answer there. `revision` rises with each decision.
    """

    id: UUID
    project: str
    registered_model_id: UUID
    version_id: UUID
    model: str
    number: int
    from_stage: Stage
    to_stage: Stage
    replaces: str | None
    reason: str | None
    state: RequestState
    approvals_needed: int
    role: Role
    apply: Apply
    bound: Bound
    verdicts: tuple[dict[str, Any], ...]
    requested_at: datetime
    requested_by: str
    expires_at: datetime
    ended_at: datetime | None = None
    ended_by: str | None = None
    end_comment: str | None = None
    decisions: tuple[Decision, ...] = ()
    deployment: ProposedDeployment | None = None
    revision: int = 1
    requester: Identity | None = None
    """Who stood behind the one who asked."""

    @property
    def asked_by(self) -> Identity:
        """Who asked, and who stood behind them."""
        return self.requester or Identity(actor=self.requested_by, stands_for=self.requested_by)

    @property
    def subject(self) -> str:
        """The request's path under its project, as audit entries have it."""
        return f"registered-models/{self.model}/versions/{self.number}/transition-requests/{self.id}"

    @property
    def approvals(self) -> tuple[Decision, ...]:
        """Who agreed, in the order in which they did."""
        return tuple(decision for decision in self.decisions if decision.kind is DecisionKind.APPROVAL)

    def state_at(self, now: datetime) -> RequestState:
        """Where it stands at that moment: what is open is expired from `expires_at` on."""
        if self.state in OPEN and now >= self.expires_at:
            return RequestState.EXPIRED
        return self.state


def refuse_closed(request: TransitionRequest, *, now: datetime) -> None:
    """Raise RequestClosedError unless the request is open."""
    state = request.state_at(now)
    if state not in OPEN:
        raise RequestClosedError(f"The request is {state}.", state=state)


def decide_approval(
    request: TransitionRequest, *, who: Identity, roles: Collection[Role], lapsed: Collection[str], now: datetime
) -> RequestState:
    """Where the request stands once somebody has agreed: `pending` or `approved`.

    `roles` are their own; `lapsed` the earlier approvers who may not agree any more. Raises
    RequestClosedError, SelfApprovalError, ApproverRoleMissingError or AlreadyDecidedError.
    """
    refuse_closed(request, now=now)
    _refuse_decision_of(request, who=who, roles=roles)
    count = 1 + sum(approval.actor not in lapsed for approval in request.approvals)
    return RequestState.APPROVED if count >= request.approvals_needed else RequestState.PENDING


def decide_rejection(
    request: TransitionRequest, *, who: Identity, roles: Collection[Role], now: datetime
) -> RequestState:
    """The request is over when one approver says no. Raises as `decide_approval` does."""
    refuse_closed(request, now=now)
    _refuse_decision_of(request, who=who, roles=roles)
    return RequestState.REJECTED


def decide_withdrawal(request: TransitionRequest, *, actor: str, now: datetime) -> RequestState:
    """Who asked may take the request back. Raises RequestClosedError or NotRequesterError."""
    refuse_closed(request, now=now)
    if actor != request.requested_by:
        raise NotRequesterError(f"The request was made by {request.requested_by}.")
    return RequestState.WITHDRAWN


def decide_application(request: TransitionRequest, *, lapsed: Collection[str], now: datetime) -> RequestState:
    """What enough people agreed to may be done. Raises RequestClosedError or ApprovalsMissingError."""
    refuse_closed(request, now=now)
    valid = [approval.actor for approval in request.approvals if approval.actor not in lapsed]
    if len(valid) < request.approvals_needed:
        raise ApprovalsMissingError(
            f"{len(valid)} of {request.approvals_needed} approvals are given by people who may give them.",
            fix=f"Ask people with the role {request.role} to look at it.",
            approvers=valid,
            lapsed=sorted(lapsed),
        )
    return RequestState.APPLIED


def decide_expiry(request: TransitionRequest, *, now: datetime) -> bool:
    """Whether the request is open, and its time is over."""
    return request.state in OPEN and request.state_at(now) is RequestState.EXPIRED


def is_approver(roles: Collection[Role], role: Role) -> bool:
    """Whether somebody with `roles` may decide what people with `role` decide: an admin may."""
    return role in roles or Role.ADMIN in roles


def _refuse_decision_of(request: TransitionRequest, *, who: Identity, roles: Collection[Role]) -> None:
    actor = who.actor
    if actor == request.requested_by:
        raise SelfApprovalError(f"{actor} made the request.")
    if who.may_be(request.asked_by):
        raise SelfApprovalError(
            f"{actor} and {request.requested_by}, who made the request, may be one person: {_why_one(who)}.",
            fix=_ANOTHER_PERSON,
        )
    if not is_approver(roles, request.role):
        raise ApproverRoleMissingError(
            f"{actor} has not the role {request.role} in the project {request.project}.",
            fix=f"Ask somebody with the role {request.role}.",
            role=request.role,
        )
    for decision in request.decisions:
        if decision.actor == actor:
            raise AlreadyDecidedError(f"{actor} has decided about this request already.")
        if who.may_be(decision.who):
            raise AlreadyDecidedError(
                f"{actor} and {decision.actor}, who has decided already, may be one person: {_why_one(who)}.",
                fix=_ANOTHER_PERSON,
            )


_ANOTHER_PERSON = "Ask somebody whose token the operators gave out, or whom an identity provider vouches for."


def _why_one(who: Identity) -> str:
    if who.stands_for != who.actor:
        return f"the token of {who.actor} was given out by {who.stands_for}"
    return "one of them gave out the token of the other"
