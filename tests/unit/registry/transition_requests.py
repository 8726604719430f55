"""Builders of transition requests for tests: say what matters, the rest is ordinary."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from modelyard_events.values import Stage
from modelyard_registry.approvals.bound import Bound
from modelyard_registry.approvals.domain import Decision, DecisionKind, RequestState, TransitionRequest
from modelyard_registry.policies.domain import Apply
from modelyard_runtime.access.permissions import Role
from modelyard_runtime.access.principals import Identity

START = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
EXPIRES_AT = START + timedelta(hours=10)
ID = UUID(int=1)
AS_ASKED = Bound(
    stage="staging",
    digest="sha256:" + "9f" * 32,
    evidence_sha256="1f" * 32,
    endpoint_url="http://127.0.0.1:9000/infer",
    endpoint_revision=1,
    project_policy_revision=1,
    model_policy_revision=0,
    champion=None,
)


def a_request(**changes: Any) -> TransitionRequest:
    """A request of ann's, made at `START`, that one approver must agree to."""
    values: dict[str, Any] = {
        "id": ID,
        "project": "bank",
        "registered_model_id": ID,
        "version_id": ID,
        "model": "risk",
        "number": 1,
        "from_stage": Stage.STAGING,
        "to_stage": Stage.PRODUCTION,
        "replaces": None,
        "reason": None,
        "state": RequestState.PENDING,
        "approvals_needed": 1,
        "role": Role.APPROVER,
        "apply": Apply.ON_COMMAND,
        "bound": AS_ASKED,
        "verdicts": (),
        "requested_at": START,
        "requested_by": "ann",
        "expires_at": EXPIRES_AT,
    }
    return TransitionRequest(**{**values, **changes})


def who(actor: str, **changes: Any) -> Identity:
    """Somebody who stands for themselves, unless `stands_for` says otherwise."""
    return Identity(**{"actor": actor, "stands_for": actor, **changes})


def an_approval(actor: str, **changes: Any) -> Decision:
    """An approval by `actor`, given at `START`."""
    values: dict[str, Any] = {"kind": DecisionKind.APPROVAL, "comment": None, "decided_at": START}
    return Decision(actor=actor, **{**values, **changes})


def a_rejection(actor: str) -> Decision:
    """A rejection by `actor`, given at `START`."""
    return an_approval(actor, kind=DecisionKind.REJECTION)
