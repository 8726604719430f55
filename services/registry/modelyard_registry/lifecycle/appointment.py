"""Pointing `champion` at a version in production by hand, where the policy is `manual`."""

from dataclasses import dataclass

from modelyard_events.values import Stage
from modelyard_runtime.problems import ConflictError

from modelyard_registry.aliases.moves import move_alias
from modelyard_registry.lifecycle.domain import Standing
from modelyard_registry.lifecycle.rollback import ChampionChangedError
from modelyard_registry.lifecycle.situation import Situation, load_situation
from modelyard_registry.models.domain import ModelVersion
from modelyard_registry.models.store import get_version
from modelyard_registry.policies.domain import ChampionPolicy
from modelyard_registry.policies.store import list_arrivals
from modelyard_registry.routes.champion_history import CHAMPION, Cause
from modelyard_registry.routes.handlers import publish_route
from modelyard_registry.transactions import Transaction


class AppointmentRefusedError(ConflictError):
    """The version cannot be made champion by hand."""

    code = "appointment-refused"
    when = "The version's stage, quarantine or policy keeps it from being made champion by hand."
    fix = "Do what `fix` says, or promote the version with a transition."


@dataclass(frozen=True, slots=True, kw_only=True)
class AppointChampion:
    """The command: make `number` champion in the place of `replaces`, None when there is no champion.

    `replaces_model` names the registered model that may lose the slot.
    """

    project: str
    model: str
    number: int
    replaces: int | None
    replaces_model: str | None
    reason: str | None


async def appoint_champion(tx: Transaction, command: AppointChampion) -> ModelVersion:
    """Answers the new champion; nothing happens when it is champion already, in the place of `replaces`.

    Raises RegisteredModelNotFoundError, ModelVersionNotFoundError, ChampionChangedError or AppointmentRefusedError.
    """
    situation = await load_situation(tx, project=command.project, model=command.model, reference=command.number)
    _refuse_another_champion(situation, replaces=command.replaces)
    if situation.standing.is_champion:
        return situation.version
    arrivals = await list_arrivals(tx.connection, version_id=situation.version.id, stage=Stage.PRODUCTION)
    fault = decide_appointment(
        situation.standing,
        policy=situation.policy.champion,
        replaces_model=command.replaces_model,
        is_agreed=situation.policy.was_agreed(Stage.PRODUCTION, arrivals),
    )
    if fault is not None:
        detail = f"{command.model} {command.number} cannot be made champion by hand."
        raise AppointmentRefusedError(detail, fix=fault)

    if situation.holder is not None:
        await move_alias(tx, situation.holder, to_number=None, cause=Cause.REPLACEMENT, reason=command.reason)
    await move_alias(tx, situation.model, to_number=command.number, cause=Cause.APPOINTMENT, reason=command.reason)
    await publish_route(tx, project=command.project, model_type=situation.model.model_type)
    return await get_version(tx.connection, project=command.project, model=command.model, reference=command.number)


def decide_appointment(
    standing: Standing, *, policy: ChampionPolicy, replaces_model: str | None, is_agreed: bool
) -> str | None:
    """What stands against making the version champion, as what to do about it; None when nothing does."""
    if policy is not ChampionPolicy.MANUAL:
        return f"The champion policy is {policy}: promote a version or roll back; only `manual` lets people point."
    if standing.stage is not Stage.PRODUCTION:
        return f"The version is in {standing.stage}: move it to production first."
    if not is_agreed:
        return "Nobody agreed to it in production, as policy demands: move it to deprecated, and ask for production."
    if standing.quarantined:
        return "The version must be released from quarantine."
    if not (standing.build_is_admitted and standing.review_is_admitted):
        return "The version's build and review status must be ones that policy admits."
    if standing.endpoint_health not in ("healthy", "unknown"):
        return "The version needs a production deployment whose health is not `unhealthy`."
    if standing.slot_holder != replaces_model:
        held = standing.slot_holder or "no other registered model"
        return f"The slot is held by {held}: say so in `replaces_model`, or leave it out when it is free."
    return None


def _refuse_another_champion(situation: Situation, *, replaces: int | None) -> None:
    champion = situation.model.aliases.get(CHAMPION)
    if champion != replaces:
        now = "nothing" if champion is None else f"version {champion}"
        raise ChampionChangedError(
            f"The champion of {situation.model.name} is {now}.",
            fix="Look at GET …/champion, then name in `replaces` the champion that yours is to follow.",
            champion=champion,
        )
