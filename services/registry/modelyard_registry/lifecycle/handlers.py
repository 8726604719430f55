"""Transitions and the champion: load under the lock, decide, save, and say so, in the caller's transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelyard_events.registry import ModelVersionRolledBack
from modelyard_events.values import Stage
from modelyard_runtime.problems import ConflictError

from modelyard_registry.aliases.moves import move_alias
from modelyard_registry.deployments.probing import EndpointProbe
from modelyard_registry.experiments.handlers import stop_experiments_touching
from modelyard_registry.lifecycle.domain import Move
from modelyard_registry.lifecycle.probing import NOT_ASKED, Probing
from modelyard_registry.lifecycle.rollback import Rollback, RollBackChampion
from modelyard_registry.lifecycle.rollback_plan import plan_rollback
from modelyard_registry.lifecycle.situation import (
    Foresight,
    Plan,
    Situation,
    foresee_move,
    load_situation,
    plan_move,
    refuse_failed_gates,
)
from modelyard_registry.lifecycle.stages import change_stage
from modelyard_registry.models.domain import ModelVersion, Reference, RegisteredModel
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.models.locks import lock_type_of_model
from modelyard_registry.models.store import get_model, get_version
from modelyard_registry.policies.agreement import Agreement
from modelyard_registry.policies.store import load_policy
from modelyard_registry.routes.champion_history import CHAMPION, Cause
from modelyard_registry.routes.domain import ROUTED_STAGES
from modelyard_registry.routes.handlers import publish_route
from modelyard_registry.routes.store import is_routed
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


class ApprovalRequiredError(ConflictError):
    """This move needs the approval of others."""

    code = "approval-required"
    when = "Policy demands that others agree before this transition."
    fix = "Ask for it with POST …/transition-requests."


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionModelVersion:
    """The command: move a version to `to_stage`; `replaces` names the registered model that may lose the slot."""

    project: str
    model: str
    reference: Reference
    to_stage: Stage
    reason: str | None
    replaces: str | None
    probing: Probing = NOT_ASKED


async def transition_version(tx: Transaction, command: TransitionModelVersion) -> ModelVersion:
    """Make the move, with the champion's alias and the route when it touches them; answers the version after it.

    Raises RegisteredModelNotFoundError, ModelVersionNotFoundError, TransitionRefusedError, GatesFailedError or
    ApprovalRequiredError.
    """
    situation = await load_situation(tx, project=command.project, model=command.model, reference=command.reference)
    plan = await plan_move(tx, situation, to_stage=command.to_stage, replaces=command.replaces, probing=command.probing)
    refuse_failed_gates(situation, plan)
    if plan.rule.approvals is not None:
        raise _approval_required(situation, plan)
    return await make_move(tx, situation, plan, reason=command.reason, agreement=None)


async def preview_transition(tx: Transaction, command: TransitionModelVersion) -> tuple[Stage, Foresight]:
    """From where the move would start and what it would be, with every gate's verdict; changes nothing.

    Raises RegisteredModelNotFoundError or ModelVersionNotFoundError.
    """
    situation = await load_situation(tx, project=command.project, model=command.model, reference=command.reference)
    foreseen = await foresee_move(
        tx, situation, to_stage=command.to_stage, replaces=command.replaces, probing=command.probing
    )
    return situation.version.stage, foreseen


async def make_move(
    tx: Transaction, situation: Situation, plan: Plan, *, reason: str | None, agreement: Agreement | None
) -> ModelVersion:
    """Make a planned move that nothing stands against any more; answers the version after it."""
    model, version, move = situation.model, situation.version, plan.move
    await change_stage(
        tx,
        version,
        project=situation.project,
        to_stage=move.to_stage,
        reason=reason,
        verdicts=plan.verdicts,
        agreement=agreement,
    )
    if move.becomes_champion:
        if situation.holder is not None:
            await move_alias(tx, situation.holder, to_number=None, cause=Cause.REPLACEMENT, reason=reason)
        await move_alias(tx, model, to_number=version.number, cause=Cause.PROMOTION, reason=reason)
    # Beyond the routable stages a running experiment may name the version, and the route says in which stage it is.
    if _touches_routing(version, move) or await is_routed(
        tx.connection,
        project=model.project,
        model_type=model.model_type,
        model=model.name,
        model_id=model.id,
        numbers=(version.number,),
    ):
        await publish_route(tx, project=situation.project, model_type=model.model_type)
    return await get_version(tx.connection, project=situation.project, model=model.name, reference=version.number)


async def roll_back(tx: Transaction, command: RollBackChampion, *, probing: EndpointProbe) -> Rollback:
    """Restore the champion before `replaces`, deprecate that one and stop the experiments that it is part of.

    Raises RegisteredModelNotFoundError, ChampionChangedError, NothingToRestoreError or EndpointDoesNotAnswerError.
    """
    await lock_type_of_model(tx.connection, project=command.project, name=command.model)
    model = await get_model(tx.connection, project=command.project, name=command.model)
    policy = await load_policy(tx.connection, project=command.project, registered_model_id=model.id, shared=True)
    rollback = await plan_rollback(tx.connection, command, model, policy=policy)
    asked = probing.judge(rollback.restored.endpoint, policy=policy)

    await _apply_rollback(tx, rollback, model=model, reason=command.reason, asked=asked)
    await stop_experiments_touching(
        tx,
        project=command.project,
        model=command.model,
        number=rollback.replaced,
        reason=command.reason or f"version {rollback.replaced} of {model.name} was rolled back",
    )
    await publish_route(tx, project=command.project, model_type=model.model_type)
    return rollback


async def _apply_rollback(
    tx: Transaction, rollback: Rollback, *, model: RegisteredModel, reason: str | None, asked: Mapping[str, Any]
) -> None:
    restored = await get_version(
        tx.connection, project=model.project, model=model.name, reference=rollback.restored.number
    )
    replaced = await get_version(tx.connection, project=model.project, model=model.name, reference=rollback.replaced)
    if restored.stage is not Stage.PRODUCTION:
        await change_stage(tx, restored, project=model.project, to_stage=Stage.PRODUCTION, reason=reason)
    await move_alias(tx, model, to_number=restored.number, cause=Cause.ROLLBACK, reason=reason)
    await change_stage(tx, replaced, project=model.project, to_stage=Stage.DEPRECATED, reason=reason)
    rolled_back = ModelVersionRolledBack(
        project=model.project,
        model=model.name,
        replaced=replaced.number,
        restored=restored.number,
        reason=reason,
    )
    await append_model_fact(tx, rolled_back, registered_model_id=model.id)
    await tx.record_audit(
        project=model.project,
        action=AuditAction.MODEL_VERSION_ROLLED_BACK,
        subject=replaced.subject,
        before={CHAMPION: replaced.number},
        after={CHAMPION: restored.number, **asked},
        reason=reason,
        digest=restored.digest,
    )


def _touches_routing(version: ModelVersion, move: Move) -> bool:
    return move.becomes_champion or bool({version.stage, move.to_stage} & ROUTED_STAGES)


def _approval_required(situation: Situation, plan: Plan) -> ApprovalRequiredError:
    version, approvals = situation.version, plan.rule.approvals
    path = f"/api/v1/projects/{situation.project}/{version.subject}/transition-requests"
    needed = {} if approvals is None else {"count": approvals.count, "role": approvals.role}
    return ApprovalRequiredError(
        f"{version.model} {version.number} moves from {version.stage} to {plan.move.to_stage} only when others agree.",
        fix=f"Ask for it with POST {path}.",
        request_path=path,
        approvals=needed,
        verdicts=[verdict.document() for verdict in plan.verdicts],
    )
