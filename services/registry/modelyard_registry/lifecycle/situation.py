"""A version and everything that its moves depend on, loaded under the lock; and what a move would be."""

from dataclasses import dataclass

from modelyard_events.values import Stage
from modelyard_runtime.problems import ConflictError

from modelyard_registry.aliases.store import list_champion_moves
from modelyard_registry.artifacts.formats import METADATA
from modelyard_registry.artifacts.records import find_artifact
from modelyard_registry.attachments.store import find_signature, list_inspections
from modelyard_registry.checks.store import newest_checks
from modelyard_registry.deployments.domain import Deployment
from modelyard_registry.deployments.store import find_deployment
from modelyard_registry.experiments.store import list_touching
from modelyard_registry.gates.domain import ChampionEvidence, GateInputs, Verdict, judge
from modelyard_registry.lifecycle import store
from modelyard_registry.lifecycle.domain import (
    Move,
    Standing,
    Table,
    TransitionRefusedError,
    decide_transition,
    transition_table,
)
from modelyard_registry.lifecycle.probing import Probing
from modelyard_registry.lifecycle.succession import Succession, decide_succession
from modelyard_registry.models.domain import ModelVersion, Reference, RegisteredModel
from modelyard_registry.models.locks import lock_slot
from modelyard_registry.models.store import get_model, get_version
from modelyard_registry.policies.domain import EffectivePolicy, MoveRule
from modelyard_registry.policies.store import load_policy
from modelyard_registry.routes.champion_history import CHAMPION, previous_champions
from modelyard_registry.routes.domain import ROUTED_ENVIRONMENT
from modelyard_registry.transactions import Transaction


class GatesFailedError(ConflictError):
    """The version does not pass every gate of this move."""

    code = "gates-failed"
    when = "At least one gate of the transition failed; `fix` names each with its reason."
    fix = "Meet the gates that `fix` names, then ask again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A version as it stands, in its slot, under the policy that holds.

    `holder` is the registered model, other than its own, whose champion serves the slot; `champion` the
    version that serves the slot now, of whichever model; `is_compared` when a running experiment names the version.
    """

    project: str
    model: RegisteredModel
    version: ModelVersion
    holder: RegisteredModel | None
    champion: ModelVersion | None
    deployment: Deployment | None
    policy: EffectivePolicy
    is_compared: bool

    @property
    def table(self) -> Table:
        """The moves that there are in this project."""
        return transition_table(self.policy.allowed_moves)

    @property
    def standing(self) -> Standing:
        """The version, as far as its moves depend on it."""
        return Standing(
            model=self.version.model,
            number=self.version.number,
            stage=self.version.stage,
            quarantined=self.version.quarantined,
            is_champion=CHAMPION in self.version.aliases,
            endpoint_health=None if self.deployment is None else self.deployment.health,
            slot_holder=None if self.holder is None else self.holder.name,
            has_artifact=self.version.format != METADATA,
            build_is_admitted=self.version.build_status in self.policy.build_statuses,
            review_is_admitted=self.version.review_status in self.policy.review_statuses,
            is_compared=self.is_compared,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What a move would be, or why the table or what it needs is against it; and what its gates say in either case."""

    to_stage: Stage
    move: Move | TransitionRefusedError
    rule: MoveRule
    verdicts: tuple[Verdict, ...]
    succession: Succession

    @property
    def is_allowed(self) -> bool:
        """Whether the move could be made now, alone or by a transition request."""
        return isinstance(self.move, Move) and all(verdict.passed for verdict in self.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A move that may be made as far as the table is concerned, and what its gates say."""

    move: Move
    rule: MoveRule
    verdicts: tuple[Verdict, ...]
    succession: Succession

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The gates that are not passed."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)


async def load_situation(tx: Transaction, *, project: str, model: str, reference: Reference) -> Situation:
    """The situation, which stays so until the transaction ends.

    The whole slot is locked: two registered models that are promoted at once must see each other. Raises
    RegisteredModelNotFoundError or ModelVersionNotFoundError.
    """
    slot = await lock_slot(tx.connection, project=project, name=model)
    found = next((each for each in slot if each.name == model), None)
    # While this waited for the lock the model may have got another name: then there is none of this one.
    own = found or await get_model(tx.connection, project=project, name=model)
    holder = next((each for each in slot if CHAMPION in each.aliases and each.id != own.id), None)
    version = await get_version(tx.connection, project=project, model=model, reference=reference)
    serving = own if CHAMPION in own.aliases else holder
    champion = (
        await get_version(tx.connection, project=project, model=serving.name, reference=serving.aliases[CHAMPION])
        if serving is not None
        else None
    )
    return Situation(
        project=project,
        model=own,
        version=version,
        holder=holder,
        champion=champion,
        deployment=await find_deployment(tx.connection, version_id=version.id, environment=ROUTED_ENVIRONMENT),
        policy=await load_policy(tx.connection, project=project, registered_model_id=own.id, shared=True),
        is_compared=bool(await list_touching(tx.connection, project=project, model=model, number=version.number)),
    )


async def plan_move(
    tx: Transaction, situation: Situation, *, to_stage: Stage, replaces: str | None, probing: Probing
) -> Plan:
    """What the move would be. Raises TransitionRefusedError when the table, or what a move needs, is against it."""
    foreseen = await foresee_move(tx, situation, to_stage=to_stage, replaces=replaces, probing=probing)
    if isinstance(foreseen.move, TransitionRefusedError):
        raise foreseen.move
    return Plan(move=foreseen.move, rule=foreseen.rule, verdicts=foreseen.verdicts, succession=foreseen.succession)


async def foresee_move(
    tx: Transaction, situation: Situation, *, to_stage: Stage, replaces: str | None, probing: Probing
) -> Foresight:
    """What the move would be, or why it could not be made, with every gate's verdict in either case."""
    champion = situation.champion
    succession = decide_succession(
        situation.policy.champion,
        challenger=situation.version.evidence,
        champion=None if champion is None else champion.evidence,
        primary_metric=situation.model.primary_metric,
        higher_is_better=situation.model.higher_is_better,
    )
    rule = situation.policy.rule_for(situation.version.stage, to_stage)
    return Foresight(
        to_stage=to_stage,
        move=_decide(situation, succession, to_stage=to_stage, replaces=replaces),
        rule=rule,
        verdicts=(
            *(judge(rule.gates, await _gate_inputs(tx, situation)) if rule.gates else ()),
            *probing.verdicts(to_stage=to_stage, deployment=situation.deployment, policy=situation.policy),
        ),
        succession=succession,
    )


def _decide(
    situation: Situation, succession: Succession, *, to_stage: Stage, replaces: str | None
) -> Move | TransitionRefusedError:
    try:
        return decide_transition(
            situation.standing,
            to_stage=to_stage,
            replaces=replaces,
            table=situation.table,
            takes_slot=succession.moves_champion,
        )
    except TransitionRefusedError as refusal:
        return refusal


def refuse_failed_gates(situation: Situation, plan: Plan) -> None:
    """Raise GatesFailedError, with every verdict, unless all gates are passed."""
    if plan.failed:
        version = situation.version
        raise GatesFailedError(
            f"{version.model} {version.number} does not pass {len(plan.failed)} of {len(plan.verdicts)} gates"
            f" from {version.stage} to {plan.move.to_stage}.",
            fix=" ".join(f"{verdict.gate}: {verdict.reason}" for verdict in plan.failed),
            verdicts=[verdict.document() for verdict in plan.verdicts],
        )


async def _gate_inputs(tx: Transaction, situation: Situation) -> GateInputs:
    model, version, champion = situation.model, situation.version, situation.champion
    artifact = await find_artifact(tx.connection, project=situation.project, digest=version.digest)
    history = await list_champion_moves(tx.connection, registered_model_id=model.id)
    return GateInputs(
        evidence=version.evidence,
        checks={
            kind: check.outcome.value
            for kind, check in (
                await newest_checks(tx.connection, version_id=version.id, digest=version.digest)
            ).items()
        },
        model_card=version.facts.model_card,
        digest=version.digest,
        format=version.format,
        artifact=None if artifact is None else artifact.judged,
        attached=await list_inspections(tx.connection, version_id=version.id),
        endpoint_health=None if situation.deployment is None else situation.deployment.health,
        owner=version.evidence.owner or model.owner,
        review_status=version.review_status,
        primary_metric=model.primary_metric,
        higher_is_better=model.higher_is_better,
        champion=(
            ChampionEvidence(model=champion.model, number=champion.number, evidence=champion.evidence)
            if champion is not None and champion.id != version.id
            else None
        ),
        had_champion=bool(history),
        rollback_target=await _rollback_target(tx, situation, former=previous_champions(history)),
        signature=await find_signature(tx.connection, version_id=version.id),
        signature_keys=situation.policy.signature_keys,
    )


async def _rollback_target(tx: Transaction, situation: Situation, *, former: tuple[int, ...]) -> int | None:
    """Which version a rollback would restore after this move: the champion that it replaces, or one before."""
    model = situation.model
    champion = model.aliases.get(CHAMPION)
    numbers = former if champion is None else (champion, *former)
    candidates = await store.list_former_champions(
        tx.connection, registered_model_id=model.id, numbers=numbers, policy=situation.policy
    )
    return next((each.number for each in candidates if each.may_be_restored), None)
