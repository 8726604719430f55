"""Asking others to agree: to a move, or to another endpoint of a version that is served."""

from dataclasses import dataclass
from uuid import UUID

from modelyard_events.policies import TransitionRequested
from modelyard_events.values import Stage
from modelyard_runtime.problems import ConflictError

from modelyard_registry.approvals import store
from modelyard_registry.approvals.binding import changes_since, present_bound
from modelyard_registry.approvals.bound import Bound, in_words
from modelyard_registry.approvals.domain import ProposedDeployment, RequestState, TransitionRequest, decide_expiry
from modelyard_registry.approvals.endings import end_request
from modelyard_registry.deployments.domain import Deployment
from modelyard_registry.deployments.handlers import DeploymentChange, RecordDeployment, plan_deployment, save_change
from modelyard_registry.deployments.probing import EndpointProbe
from modelyard_registry.deployments.traffic import guarding_stage
from modelyard_registry.gates.domain import Verdict
from modelyard_registry.lifecycle.handlers import TransitionModelVersion
from modelyard_registry.lifecycle.situation import Situation, load_situation, plan_move, refuse_failed_gates
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.policies.agreement import Agreement
from modelyard_registry.policies.domain import Approvals, MoveRule
from modelyard_registry.routes.domain import ROUTED_ENVIRONMENT
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

COMMENT_CHARS_MAX = 1_000


class ApprovalNotNeededError(ConflictError):
    """This needs nobody's approval."""

    code = "approval-not-needed"
    when = "Approval is asked for a transition or a deployment that policy lets through without one."
    fix = "Make the transition or record the deployment directly."


class RequestOpenError(ConflictError):
    """This is asked for already."""

    code = "request-open"
    when = "An open request asks for the same transition or endpoint already."
    fix = "Let it be decided, or withdrawn, before you ask again."


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEndpoint:
    """The command: ask others to agree that a version which is served answers elsewhere."""

    deployment: RecordDeployment
    reason: str | None
    probing: EndpointProbe


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is asked for, once nothing stands against asking."""

    to_stage: Stage
    rule: MoveRule
    approvals: Approvals
    reason: str | None
    replaces: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    deployment: ProposedDeployment | None = None


async def request_transition(tx: Transaction, command: TransitionModelVersion) -> TransitionRequest:
    """Ask others to agree to the move instead of making it; answers the request, bound to everything as it is now.

    Raises what a transition raises, ApprovalNotNeededError or RequestOpenError.
    """
    situation = await load_situation(tx, project=command.project, model=command.model, reference=command.reference)
    plan = await plan_move(tx, situation, to_stage=command.to_stage, replaces=command.replaces, probing=command.probing)
    refuse_failed_gates(situation, plan)
    if plan.rule.approvals is None:
        raise ApprovalNotNeededError(
            f"The move from {situation.version.stage} to {command.to_stage} needs no approval.",
            fix="Make it with POST …/transitions.",
        )
    asked = _Asked(
        to_stage=command.to_stage,
        rule=plan.rule,
        approvals=plan.rule.approvals,
        reason=command.reason,
        replaces=command.replaces,
        verdicts=plan.verdicts,
    )
    return await _ask(tx, situation, asked)


async def request_endpoint(tx: Transaction, command: RequestEndpoint) -> TransitionRequest:
    """Answers the new request; the version stays in its stage, and answers where it did until enough people agree.

    Raises what recording a deployment raises, ApprovalNotNeededError or RequestOpenError.
    """
    wanted = command.deployment
    situation = await load_situation(tx, project=wanted.project, model=wanted.model, reference=wanted.reference)
    change = await plan_deployment(tx, wanted)
    guard = None if change.guarding_stage is None else situation.policy.guard_of(change.guarding_stage)
    if not change.moves_traffic or guard is None or guard.approvals is None:
        raise ApprovalNotNeededError(
            "To record this deployment needs no approval: the version can get no traffic, or is in a stage that needs"
            " none, or answers there already.",
            fix="Record it with PUT …/deployments/{environment}.",
        )
    command.probing.judge(change.after.endpoint, policy=situation.policy)
    asked = _Asked(
        to_stage=situation.version.stage,
        rule=guard,
        approvals=guard.approvals,
        reason=command.reason,
        deployment=ProposedDeployment(
            endpoint=change.after.endpoint,
            health=change.after.health,
            skip_probe_reason=command.probing.skip_reason,
        ),
    )
    return await _ask(tx, situation, asked)


async def apply_endpoint(
    tx: Transaction,
    proposed: ProposedDeployment,
    situation: Situation,
    *,
    agreement: Agreement,
    probing: EndpointProbe,
) -> None:
    """Record the deployment that enough people agreed to; the caller has seen that nothing else has changed.

    Raises EndpointDoesNotAnswerError.
    """
    after = Deployment(
        environment=ROUTED_ENVIRONMENT,
        endpoint=proposed.endpoint,
        health=proposed.health,
        recorded_at=tx.now,
        recorded_by=tx.context.actor,
    )
    change = DeploymentChange(
        model=situation.model,
        version=situation.version,
        before=situation.deployment,
        after=after,
        guarding_stage=guarding_stage(situation.version.stage, is_compared=situation.is_compared),
    )
    await save_change(tx, change, agreement=agreement, probing=probing)


async def _ask(tx: Transaction, situation: Situation, asked: _Asked) -> TransitionRequest:
    await _refuse_second_request(tx, situation, to_stage=asked.to_stage)
    bound = await present_bound(tx.connection, version_id=situation.version.id)
    request = _new_request(tx, situation, asked, bound=bound)
    await store.insert_request(tx.connection, request)
    await _say_requested(tx, request)
    return request


async def _refuse_second_request(tx: Transaction, situation: Situation, *, to_stage: Stage) -> None:
    version = situation.version
    found = await store.find_open_request(tx.connection, version_id=version.id, to_stage=to_stage)
    if found is None:
        return
    if decide_expiry(found, now=tx.now):
        await end_request(tx, found, RequestState.EXPIRED, comment=None)
        return
    stale = in_words((await changes_since(tx.connection, [found])).get(found.id, {}))
    if stale and found.requested_by == tx.context.actor:
        # Nobody can agree to it any more, and who asked for it asks anew.
        why = f"Asked for anew, because {stale}."[:COMMENT_CHARS_MAX]
        await end_request(tx, found, RequestState.WITHDRAWN, comment=why)
        return
    what = "answer elsewhere" if found.deployment else f"move to {to_stage}"
    raise RequestOpenError(
        f"{found.requested_by} has asked for {version.model} {version.number} to {what} already."
        + (f" That request is stale: {stale}." if stale else ""),
        request_id=str(found.id),
        is_stale=bool(stale),
    )


def _new_request(tx: Transaction, situation: Situation, asked: _Asked, *, bound: Bound) -> TransitionRequest:
    return TransitionRequest(
        id=UUID(tx.new_id()),
        project=situation.project,
        registered_model_id=situation.model.id,
        version_id=situation.version.id,
        model=situation.model.name,
        number=situation.version.number,
        from_stage=situation.version.stage,
        to_stage=asked.to_stage,
        replaces=asked.replaces,
        reason=asked.reason,
        state=RequestState.PENDING,
        approvals_needed=asked.approvals.count,
        role=asked.approvals.role,
        apply=asked.rule.apply,
        bound=bound,
        verdicts=tuple(verdict.document() for verdict in asked.verdicts),
        requested_at=tx.now,
        requested_by=tx.context.actor,
        requester=tx.context.who,
        expires_at=tx.now + asked.rule.expires_after,
        deployment=asked.deployment,
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
        endpoint=None if request.deployment is None else request.deployment.endpoint,
    )
    await append_model_fact(tx, requested, registered_model_id=request.registered_model_id)
    proposed = {} if request.deployment is None else {"deployment": request.deployment.document()}
    await tx.record_audit(
        project=request.project,
        action=AuditAction.TRANSITION_REQUEST_CREATED,
        subject=request.subject,
        after={
            "to_stage": request.to_stage,
            "bound": request.bound.document(),
            "verdicts": list(request.verdicts),
            **proposed,
        },
        reason=request.reason,
        digest=request.bound.digest,
    )
