"""Asking for a transition, deciding about it and making it: each under the lock of the slot that it is about."""

from dataclasses import dataclass, replace
from uuid import UUID

from modelyard_events.policies import ApprovalGiven, TransitionRequested
from modelyard_events.values import Stage
from modelyard_runtime.problems import ConflictError

from modelyard_registry.approvals import store
from modelyard_registry.approvals.binding import bound_of
from modelyard_registry.approvals.domain import (
    Decision,
    DecisionKind,
    RequestState,
    TransitionRequest,
    decide_application,
    decide_approval,
    decide_expiry,
    decide_rejection,
    decide_withdrawal,
    refuse_stale,
)
from modelyard_registry.approvals.endings import end_request
from modelyard_registry.approvals.roles import RolesOf, lapsed_approvers
from modelyard_registry.lifecycle.handlers import make_move
from modelyard_registry.lifecycle.situation import Plan, Situation, load_situation, plan_move, refuse_failed_gates
from modelyard_registry.lifecycle.stages import Agreement
from modelyard_registry.models.domain import Reference
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.policies.domain import Apply, Approvals
from modelyard_registry.transactions import Transaction


class ApprovalNotNeededError(ConflictError):
    """This move needs nobody's approval."""


class RequestOpenError(ConflictError):
    """This move is asked for already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTransition:
    """The command: ask others to agree that a version moves to `to_stage`."""

    project: str
    model: str
    reference: Reference
    to_stage: Stage
    reason: str | None
    replaces: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """The command to decide about a request, or to have it done; `roles_of` says who has which roles now."""

    project: str
    request_id: UUID
    comment: str | None
    roles_of: RolesOf


async def request_transition(tx: Transaction, command: RequestTransition) -> TransitionRequest:
    """Answers the new request, bound to everything as it is now.

    Raises what a transition raises, ApprovalNotNeededError or RequestOpenError.
    """
    situation = await load_situation(tx, project=command.project, model=command.model, reference=command.reference)
    plan = await plan_move(tx, situation, to_stage=command.to_stage, replaces=command.replaces)
    refuse_failed_gates(situation, plan)
    if plan.rule.approvals is None:
        raise ApprovalNotNeededError(
            f"The move from {situation.version.stage} to {command.to_stage} needs no approval.",
            fix="Make it with POST …/transitions.",
        )
    await _refuse_second_request(tx, situation, to_stage=command.to_stage)

    request = _new_request(tx, command, situation, plan, approvals=plan.rule.approvals)
    await store.insert_request(tx.connection, request)
    await _say_requested(tx, request)
    return request


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
        actor=actor,
        roles=await command.roles_of(tx, actor, request.project) or frozenset(),
        lapsed=lapsed,
        now=tx.now,
    )
    refuse_stale(request, bound_of(situation))

    approved = await _record_approval(tx, request, state, comment=command.comment)
    if state is RequestState.APPROVED and request.apply is Apply.AUTOMATICALLY:
        await _apply(tx, approved, situation, lapsed=lapsed)
    return await store.get_request(tx.connection, project=request.project, request_id=request.id)


async def reject(tx: Transaction, command: Judge) -> TransitionRequest:
    """End the request: one no is enough. Raises as `approve` does, but for what has changed meanwhile."""
    request, _ = await _load(tx, command)
    actor = tx.context.actor
    state = decide_rejection(
        request, actor=actor, roles=await command.roles_of(tx, actor, request.project) or frozenset(), now=tx.now
    )
    decision = Decision(actor=actor, kind=DecisionKind.REJECTION, comment=command.comment, decided_at=tx.now)
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
    return await _apply(tx, request, situation, lapsed=lapsed, comment=command.comment)


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
    comment: str | None = None,
) -> TransitionRequest:
    state = decide_application(request, lapsed=lapsed, now=tx.now)
    refuse_stale(request, bound_of(situation))
    plan = await plan_move(tx, situation, to_stage=request.to_stage, replaces=request.replaces)
    refuse_failed_gates(situation, plan)
    agreement = Agreement(
        request_id=request.id,
        requested_by=request.requested_by,
        approvals=tuple(
            {"actor": each.actor, "approved_at": each.decided_at.isoformat(), "comment": each.comment}
            for each in request.approvals
            if each.actor not in lapsed
        ),
    )
    await make_move(tx, situation, plan, reason=request.reason, agreement=agreement)
    return await end_request(tx, request, state, comment=comment)


async def _refuse_second_request(tx: Transaction, situation: Situation, *, to_stage: Stage) -> None:
    version = situation.version
    found = await store.find_open_request(tx.connection, version_id=version.id, to_stage=to_stage)
    if found is None:
        return
    if decide_expiry(found, now=tx.now):
        await end_request(tx, found, RequestState.EXPIRED, comment=None)
        return
    raise RequestOpenError(
        f"{found.requested_by} has asked for {version.model} {version.number} to move to {to_stage} already.",
        fix="Let it be decided, or withdrawn, before you ask again.",
        request_id=str(found.id),
    )


def _new_request(
    tx: Transaction, command: RequestTransition, situation: Situation, plan: Plan, *, approvals: Approvals
) -> TransitionRequest:
    return TransitionRequest(
        id=UUID(tx.new_id()),
        project=situation.project,
        registered_model_id=situation.model.id,
        version_id=situation.version.id,
        model=situation.model.name,
        number=situation.version.number,
        from_stage=situation.version.stage,
        to_stage=command.to_stage,
        replaces=command.replaces,
        reason=command.reason,
        state=RequestState.PENDING,
        approvals_needed=approvals.count,
        role=approvals.role,
        apply=plan.rule.apply,
        bound=bound_of(situation),
        verdicts=tuple(verdict.document() for verdict in plan.verdicts),
        requested_at=tx.now,
        requested_by=tx.context.actor,
        expires_at=tx.now + plan.rule.expires_after,
    )


async def _say_requested(tx: Transaction, request: TransitionRequest) -> None:
    requested = TransitionRequested(
        project=request.project,
        model=request.model,
        number=request.number,
        request_id=str(request.id),
        from_stage=request.from_stage,
        to_stage=request.to_stage,
        digest=request.bound.digest,
        approvals_needed=request.approvals_needed,
        role=request.role,
        requested_by=request.requested_by,
        expires_at=request.expires_at,
        reason=request.reason,
    )
    await append_model_fact(tx, requested, registered_model_id=request.registered_model_id)
    await tx.record_audit(
        project=request.project,
        action="transition_request.created",
        subject=request.subject,
        after={"to_stage": request.to_stage, "bound": request.bound.document(), "verdicts": list(request.verdicts)},
        reason=request.reason,
        digest=request.bound.digest,
    )


async def _record_approval(
    tx: Transaction, request: TransitionRequest, state: RequestState, *, comment: str | None
) -> TransitionRequest:
    decision = Decision(actor=tx.context.actor, kind=DecisionKind.APPROVAL, comment=comment, decided_at=tx.now)
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
        action="approval.given",
        subject=request.subject,
        before={"state": request.state},
        after={"state": state, "approvals": [each.actor for each in approved.approvals]},
        reason=comment,
        digest=request.bound.digest,
    )
    return approved
