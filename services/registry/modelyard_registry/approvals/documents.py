"""Transition requests as callers see them."""

from datetime import datetime
from typing import Any, Self

from modelyard_events.values import Endpoint, Stage
from modelyard_runtime.access.permissions import Role
from pydantic import BaseModel, Field

from modelyard_registry.api.paging import Page
from modelyard_registry.approvals.bound import Changes
from modelyard_registry.approvals.domain import OPEN, Decision, DecisionKind, RequestState, TransitionRequest
from modelyard_registry.deployments.domain import Health
from modelyard_registry.lifecycle.http import VerdictDocument
from modelyard_registry.policies.domain import Apply


class DecisionDocument(BaseModel):
    """What one approver said."""

    actor: str
    decision: DecisionKind
    comment: str | None
    decided_at: datetime

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """The document about `decision`."""
        return cls(
            actor=decision.actor,
            decision=decision.kind,
            comment=decision.comment,
            decided_at=decision.decided_at,
        )


class BoundDocument(BaseModel):
    """What is agreed to, as it was when the request was made; `champion` is `model/number` of who serves the slot."""

    stage: Stage
    digest: str
    evidence_sha256: str
    facts_sha256: str | None
    said: dict[str, str] | None = Field(
        default=None,
        description="The SHA-256 of each thing said about the version, and of each further artifact (`artifacts.…`).",
    )
    endpoint_url: str | None
    endpoint_revision: int | None
    project_policy_revision: int
    model_policy_revision: int
    champion: str | None
    checks: dict[str, str] | None = Field(
        default=None, description="How the newest check of each kind ended; one that fails later makes a request stale."
    )


class ChangeDocument(BaseModel):
    """One thing that is not any more as it was when the request was made; digests where values would say nothing."""

    name: str
    then: Any
    now: Any
    words: str


class ProposedDeploymentDocument(BaseModel):
    """Where a version that is served is to answer, once others have agreed."""

    endpoint: Endpoint
    health: Health
    skip_probe_reason: str | None = Field(
        default=None, description="Why the endpoint is not asked for an answer before it is recorded."
    )


class TransitionRequestDocument(BaseModel):
    """A move that waits, or waited, for agreement. `verdicts` are the gates' when it was made.

    With a `deployment` the version stays in its stage and is to answer there. `revision` rises with each decision.
    An open request `is_stale` when something that it is bound to has changed, as `changed` says: nobody can agree to
    it as long as that is so. The same person can ask anew, which withdraws it.
    """

    request_id: str
    project: str
    model: str
    number: int
    from_stage: Stage
    to_stage: Stage
    replaces: str | None
    deployment: ProposedDeploymentDocument | None
    reason: str | None
    state: RequestState
    is_stale: bool
    changed: list[ChangeDocument]
    revision: int
    approvals_needed: int
    approvals_given: int
    role: Role
    apply: Apply
    bound: BoundDocument
    verdicts: list[VerdictDocument]
    decisions: list[DecisionDocument]
    requested_at: datetime
    requested_by: str
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    end_comment: str | None

    @classmethod
    def of(cls, request: TransitionRequest, *, now: datetime, changed: Changes | None = None) -> Self:
        """The document about `request`, as it stands at that moment; `changed` says why nobody can agree to it."""
        state = request.state_at(now)
        stale = changed if changed and state in OPEN else {}
        verdicts: list[dict[str, Any]] = list(request.verdicts)
        return cls(
            request_id=str(request.id),
            project=request.project,
            model=request.model,
            number=request.number,
            from_stage=request.from_stage,
            to_stage=request.to_stage,
            replaces=request.replaces,
            deployment=_proposed(request),
            reason=request.reason,
            revision=request.revision,
            state=state,
            is_stale=bool(stale),
            changed=[
                ChangeDocument(name=name, then=each.then, now=each.now, words=each.words)
                for name, each in stale.items()
            ],
            approvals_needed=request.approvals_needed,
            approvals_given=len(request.approvals),
            role=request.role,
            apply=request.apply,
            bound=BoundDocument.model_validate(request.bound.document()),
            verdicts=[VerdictDocument.model_validate(verdict) for verdict in verdicts],
            decisions=[DecisionDocument.of(each) for each in request.decisions],
            requested_at=request.requested_at,
            requested_by=request.requested_by,
            expires_at=request.expires_at,
            ended_at=request.ended_at,
            ended_by=request.ended_by,
            end_comment=request.end_comment,
        )


def _proposed(request: TransitionRequest) -> ProposedDeploymentDocument | None:
    proposed = request.deployment
    if proposed is None:
        return None
    return ProposedDeploymentDocument(
        endpoint=proposed.endpoint, health=proposed.health, skip_probe_reason=proposed.skip_probe_reason
    )


class TransitionRequestPage(Page[TransitionRequestDocument]):
    """Some transition requests, newest first."""
