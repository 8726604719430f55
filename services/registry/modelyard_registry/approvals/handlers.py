"""Deciding about a transition request, and doing what was agreed: each under the lock of the slot that it is about."""

from dataclasses import dataclass, replace
from uuid import UUID

from modelyard_events.policies import ApprovalGiven

from modelyard_registry.api.preconditions import ReadRevision
from modelyard_registry.approvals import store
from modelyard_registry.approvals.binding import present_bound
from modelyard_registry.approvals.bound import refuse_stale
from modelyard_registry.approvals.domain import (
    Decision,
    DecisionKind,
    RequestState,
    TransitionRequest,
    decide_application,
    decide_approval,
    decide_rejection,
    decide_withdrawal,
)
from modelyard_registry.approvals.endings import end_request
from modelyard_registry.approvals.requesting import apply_endpoint
from modelyard_registry.approvals.roles import RolesOf, lapsed_approvers
from modelyard_registry.deployments.probing import NOT_ASKED as ENDPOINT_NOT_ASKED
from modelyard_registry.deployments.probing import EndpointProbe
from modelyard_registry.lifecycle.handlers import make_move
from modelyard_registry.lifecycle.probing import NOT_ASKED, Probing
from modelyard_registry.lifecycle.situation import Situation, load_situation, plan_move, refuse_failed_gates
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.models.locks import lock_slot
from modelyard_registry.policies.agreement import Agreement
from modelyard_registry.policies.domain import Apply
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """The command to decide about a request, or to have it done; `roles_of` says who has which roles now."""

    project: str
    request_id: UUID
    comment: str | None
    roles_of: RolesOf
    probing: Probing = NOT_ASKED
    endpoint_probe: EndpointProbe = ENDPOINT_NOT_ASKED


def revision_of_request(project: str, request_id: UUID) -> ReadRevision:
    """How to read the revision of a request, under the lock of its slot, for `If-Match`."""

    async def read(tx: Transaction) -> int:
        found = await store.get_request(tx.connection, project=project, request_id=request_id)
        await lock_slot(tx.connection, project=project, name=found.model)
        return (await store.get_request(tx.connection, project=project, request_id=request_id)).revision

    return read


async def approve(tx: Transaction, command: Judge) -> TransitionRequest:
    """Record the caller's approval; the last one that is needed makes the move, unless policy waits for a command.

    Raises RequestClosedError, SelfApprovalError, ApproverRoleMissingError, AlreadyDecidedError, RequestStaleError,
    and what a transition raises when the move is made.
    """
    request, situation = await _load(tx, command)
    actor = tx.context.actor
    lapsed = await lapsed_approvers(tx, request, command.roles_of)
    state = decide_approval(
        request,
        who=tx.context.who,
        roles=await command.roles_of(tx, actor, request.project) or frozenset(),
        lapsed=lapsed,
        now=tx.now,
    )
    await _refuse_stale(tx, request)

    approved = await _record_approval(tx, request, state, comment=command.comment)
    if state is RequestState.APPROVED and request.apply is Apply.AUTOMATICALLY:
        await _apply(tx, approved, situation, lapsed=lapsed, command=command)
    return await store.get_request(tx.connection, project=request.project, request_id=request.id)


async def reject(tx: Transaction, command: Judge) -> TransitionRequest:
    """End the request: one no is enough. Raises as `approve` does, but for what has changed meanwhile."""
    request, _ = await _load(tx, command)
    actor = tx.context.actor
    state = decide_rejection(
        request,
        who=tx.context.who,
        roles=await command.roles_of(tx, actor, request.project) or frozenset(),
        now=tx.now,
    )
    decision = Decision(
        actor=actor,
        kind=DecisionKind.REJECTION,
        comment=command.comment,
        decided_at=tx.now,
        decider=tx.context.who,
    )
    await store.insert_decision(tx.connection, decision, request_id=request.id)
    return await end_request(tx, request, state, comment=command.comment)


async def withdraw(tx: Transaction, command: Judge) -> TransitionRequest:
    """Take the caller's own request back. Raises RequestClosedError or NotRequesterError."""
    request, _ = await _load(tx, command)
    state = decide_withdrawal(request, actor=tx.context.actor, now=tx.now)
    return await end_request(tx, request, state, comment=command.comment)


async def apply(tx: Transaction, command: Judge) -> TransitionRequest:
    """Make the move that enough people agreed to.

    Raises RequestClosedError, ApprovalsMissingError, RequestStaleError and what a transition raises.
    """
    request, situation = await _load(tx, command)
    lapsed = await lapsed_approvers(tx, request, command.roles_of)
    return await _apply(tx, request, situation, lapsed=lapsed, command=command, comment=command.comment)


async def _load(tx: Transaction, command: Judge) -> tuple[TransitionRequest, Situation]:
    """The request behind the lock of its slot, and the situation that it is judged in."""
    found = await store.get_request(tx.connection, project=command.project, request_id=command.request_id)
    situation = await load_situation(tx, project=found.project, model=found.model, reference=found.number)
    request = await store.get_request(tx.connection, project=command.project, request_id=command.request_id)
    return request, situation


async def _apply(
    tx: Transaction,
    request: TransitionRequest,
    situation: Situation,
    *,
    lapsed: frozenset[str],
    command: Judge,
    comment: str | None = None,
) -> TransitionRequest:
    state = decide_application(request, lapsed=lapsed, now=tx.now)
    await _refuse_stale(tx, request)
    agreement = Agreement(
        request_id=request.id,
        requested_by=request.requested_by,
        approvals=tuple(
            {"actor": each.actor, "approved_at": each.decided_at.isoformat(), "comment": each.comment}
            for each in request.approvals
            if each.actor not in lapsed
        ),
    )
    if request.deployment is not None:
        await apply_endpoint(tx, request.deployment, situation, agreement=agreement, probing=command.endpoint_probe)
    else:
        plan = await plan_move(
            tx, situation, to_stage=request.to_stage, replaces=request.replaces, probing=command.probing
        )
        refuse_failed_gates(situation, plan)
        await make_move(tx, situation, plan, reason=request.reason, agreement=agreement)
    return await end_request(tx, request, state, comment=comment)


async def _refuse_stale(tx: Transaction, request: TransitionRequest) -> None:
    refuse_stale(request.bound, await present_bound(tx.connection, version_id=request.version_id))


async def _record_approval(
    tx: Transaction, request: TransitionRequest, state: RequestState, *, comment: str | None
) -> TransitionRequest:
    decision = Decision(
        actor=tx.context.actor,
        kind=DecisionKind.APPROVAL,
        comment=comment,
        decided_at=tx.now,
        decider=tx.context.who,
    )
    await store.insert_decision(tx.connection, decision, request_id=request.id)
    await store.save_state(tx.connection, request, state)
    approved = replace(request, state=state, decisions=(*request.decisions, decision))
    given = ApprovalGiven(
        project=request.project,
        model=request.model,
        number=request.number,
        request_id=str(request.id),
        approver=decision.actor,
        approvals=len(approved.approvals),
        comment=comment,
    )
    await append_model_fact(tx, given, registered_model_id=request.registered_model_id)
    await tx.record_audit(
        project=request.project,
        action=AuditAction.APPROVAL_GIVEN,
        subject=request.subject,
        before={"state": request.state},
        after={"state": state, "approvals": [each.actor for each in approved.approvals]},
        reason=comment,
        digest=request.bound.digest,
    )
    return approved
