"""What the registry says about the rules of moves, and about moves that wait for agreement."""

from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field

from modelyard_events.event import Event
from modelyard_events.values import Digest, Endpoint, Slug, Stage


class PolicyChanged(Event):
    """What a project demands of moves has changed; with `model`, what one registered model demands beyond it."""

    type: ClassVar[str] = "policy.changed.v1"

    project: Slug
    model: Slug | None = None
    revision: Annotated[int, Field(ge=1)]
    before: dict[str, Any]
    after: dict[str, Any]
    reason: str | None = None


class TransitionRequested(Event):
    """Somebody asked that a version may move; `approvals_needed` people with `role` must agree until `expires_at`.

    They agree to this digest, and to evidence, endpoint, policy and champion as they are now. With an `endpoint` the
    version is to answer there instead, and stays in its stage: `from_stage` and `to_stage` are the same.
    """

    type: ClassVar[str] = "transition_request.created.v1"

    project: Slug
    model: Slug
    number: Annotated[int, Field(ge=1)]
    request_id: str
    from_stage: Stage
    to_stage: Stage
    digest: Digest
    approvals_needed: Annotated[int, Field(ge=1)]
    role: str
    requested_by: str
    expires_at: datetime
    reason: str | None = None
    endpoint: Endpoint | None = None


class ApprovalGiven(Event):
    """An approver agreed to a transition request; `approvals` people have agreed by now."""

    type: ClassVar[str] = "approval.given.v1"

    project: Slug
    model: Slug
    number: Annotated[int, Field(ge=1)]
    request_id: str
    approver: str
    approvals: Annotated[int, Field(ge=1)]
    comment: str | None = None


class TransitionRequestEnded(Event):
    """A transition request came to an end: `applied`, `rejected`, `withdrawn` or `expired`."""

    type: ClassVar[str] = "transition_request.ended.v1"

    project: Slug
    model: Slug
    number: Annotated[int, Field(ge=1)]
    request_id: str
    state: str
    ended_by: str
    approvers: tuple[str, ...] = ()
    comment: str | None = None
