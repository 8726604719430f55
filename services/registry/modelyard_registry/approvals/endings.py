"""How a transition request ends: the row, the fact and the audit entry, whatever the end."""

from modelyard_events.policies import TransitionRequestEnded

from modelyard_registry.approvals import store
from modelyard_registry.approvals.domain import RequestState, TransitionRequest
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

ACTIONS = {
    RequestState.REJECTED: AuditAction.TRANSITION_REQUEST_REJECTED,
    RequestState.WITHDRAWN: AuditAction.TRANSITION_REQUEST_WITHDRAWN,
    RequestState.EXPIRED: AuditAction.TRANSITION_REQUEST_EXPIRED,
    RequestState.APPLIED: AuditAction.TRANSITION_REQUEST_APPLIED,
}
"""What the audit log says of each end."""


async def end_request(
    tx: Transaction, request: TransitionRequest, state: RequestState, *, comment: str | None
) -> TransitionRequest:
    """Answers the request as it is at its end; the caller holds the model's lock."""
    await store.save_state(tx.connection, request, state, ended_at=tx.now, ended_by=tx.context.actor, comment=comment)
    ended = TransitionRequestEnded(
        project=request.project,
        model=request.model,
        number=request.number,
        request_id=str(request.id),
        state=state,
        ended_by=tx.context.actor,
        approvers=tuple(each.actor for each in request.approvals),
        comment=comment,
    )
    await append_model_fact(tx, ended, registered_model_id=request.registered_model_id)
    await tx.record_audit(
        project=request.project,
        action=ACTIONS[state],
        subject=request.subject,
        before={"state": request.state},
        after={"state": state, "approvals": [each.actor for each in request.approvals]},
        reason=comment,
        digest=request.bound.digest,
    )
    return await store.get_request(tx.connection, project=request.project, request_id=request.id)
