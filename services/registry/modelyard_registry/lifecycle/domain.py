"""The lifecycle: one table of the moves that a version can make, and what each of them needs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from modelyard_events.values import Stage
from modelyard_runtime.problems import ConflictError, InvalidRequestError

from modelyard_registry.deployments.domain import Health
from modelyard_registry.routes.domain import ROUTABLE_STAGES, ROUTED_ENVIRONMENT, ROUTED_STAGES


class TransitionRefusedError(ConflictError):
    """The version cannot make this move now."""

    code = "transition-refused"
    when = "No transition leads from the version's stage to the stage that was asked for, or its state forbids it now."
    fix = "Do what `fix` says; it names the way that is open."


class StageUnknownError(InvalidRequestError):
    """This word is no stage."""

    code = "stage-unknown"
    when = "The request names a stage that does not exist."
    fix = "Use one of the stages that `fix` lists."


class Need(StrEnum):
    """What a move needs; the sentence is what a person is told."""

    NOT_QUARANTINED = "The version must be released from quarantine."
    BUILT = "The version's build status must be one that policy admits (by default `evaluating` or `ready`)."
    NOT_REJECTED = "The version's review status must be one that policy admits (by default any but `rejected`)."
    ARTIFACT = "The version has no artifact: upload the model's artifact and register it as a new version."
    ENDPOINT = f"The version needs a deployment in {ROUTED_ENVIRONMENT} whose health is not `unhealthy`."
    FREE_SLOT = "No other registered model may be champion of the slot, unless `replaces` names it."
    NOT_COMPARED = "No running experiment may send callers to the version: stop it first."
    NOT_CHAMPION = "The version must not be champion: roll back, or promote another version first."


_ADMISSION = (Need.NOT_QUARANTINED, Need.BUILT, Need.NOT_REJECTED)
_SERVING = (*_ADMISSION, Need.ARTIFACT, Need.ENDPOINT)
_PROMOTION = (*_SERVING, Need.FREE_SLOT)
_RETIREMENT = (Need.NOT_COMPARED,)

TRANSITIONS: Mapping[tuple[Stage, Stage], tuple[Need, ...]] = MappingProxyType(
    {
        (Stage.DEVELOPMENT, Stage.STAGING): _ADMISSION,
        (Stage.DEVELOPMENT, Stage.ARCHIVED): _RETIREMENT,
        (Stage.STAGING, Stage.CANARY): _SERVING,
        (Stage.STAGING, Stage.PRODUCTION): _PROMOTION,
        (Stage.STAGING, Stage.DEVELOPMENT): (),
        (Stage.STAGING, Stage.ARCHIVED): _RETIREMENT,
        (Stage.CANARY, Stage.PRODUCTION): _PROMOTION,
        (Stage.CANARY, Stage.STAGING): _RETIREMENT,
        (Stage.CANARY, Stage.ARCHIVED): _RETIREMENT,
        (Stage.PRODUCTION, Stage.DEPRECATED): (Need.NOT_CHAMPION,),
        (Stage.DEPRECATED, Stage.PRODUCTION): _PROMOTION,
        (Stage.DEPRECATED, Stage.ARCHIVED): _RETIREMENT,
    }
)
"""Every move that there is by default, and what it needs. A move that is not in its project's table is impossible."""

Table = Mapping[tuple[Stage, Stage], tuple[Need, ...]]


def transition_table(allowed: Collection[tuple[Stage, Stage]] | None) -> Table:
    """The table with exactly the moves that a policy allows; None leaves the default one.

    A policy says which moves there are, never what they need: to be served takes an endpoint everywhere.
    """
    if allowed is None:
        return TRANSITIONS
    return {move: TRANSITIONS.get(move, _needs_of(*move)) for move in sorted(allowed)}


def _needs_of(from_stage: Stage, to_stage: Stage) -> tuple[Need, ...]:
    needs: tuple[Need, ...] = (Need.NOT_CHAMPION,) if from_stage is Stage.PRODUCTION else ()
    if from_stage in ROUTED_STAGES and to_stage not in ROUTED_STAGES:
        needs = (*needs, *_RETIREMENT)
    match to_stage:
        case Stage.PRODUCTION:
            return (*needs, *_PROMOTION)
        case Stage.CANARY:
            return (*needs, *_SERVING)
        case Stage.STAGING if from_stage not in ROUTABLE_STAGES:
            return (*needs, *_ADMISSION)
        case Stage.ARCHIVED if from_stage not in ROUTED_STAGES:
            return (*needs, *_RETIREMENT)
        case _:
            return needs


SYNONYMS: Mapping[str, Stage] = MappingProxyType(
    {
        "none": Stage.DEVELOPMENT,
        "dev": Stage.DEVELOPMENT,
        "testing": Stage.STAGING,
        "active": Stage.PRODUCTION,
        "deployed": Stage.PRODUCTION,
        "prod": Stage.PRODUCTION,
        "retired": Stage.ARCHIVED,
    }
)
"""Other systems' words for a stage, which are understood on the way in and never used on the way out."""

_STATUS_WORDS = frozenset({"training", "evaluating", "ready", "failed", "pending_review", "approved", "rejected"})


def parse_stage(word: str) -> Stage:
    """The stage that `word` means, in any case. Raises StageUnknownError, also for words that mean a status."""
    lowered = word.strip().lower()
    if lowered in SYNONYMS:
        return SYNONYMS[lowered]
    try:
        return Stage(lowered)
    except ValueError:
        raise _stage_unknown(lowered) from None


def _stage_unknown(word: str) -> StageUnknownError:
    why = "is a build or review status, which stands beside the stage" if word in _STATUS_WORDS else "is no stage"
    return StageUnknownError(f"{word[:100]!r} {why}.", fix=f"Use one of: {', '.join(Stage)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A version, as far as its moves depend on it.

    `endpoint_health` is None when it has no deployment in the routed environment. `slot_holder` is the
    registered model, other than its own, whose champion serves the slot; `takes_slot` says whether a promotion
    would make the version champion. `build_is_admitted` and `review_is_admitted` say whether policy lets a version
    with these statuses go to staging or beyond. `is_compared` when a running experiment names it.
    """

    model: str
    number: int
    stage: Stage
    quarantined: bool
    is_champion: bool
    endpoint_health: Health | None
    slot_holder: str | None
    has_artifact: bool = True
    takes_slot: bool = True
    build_is_admitted: bool = True
    review_is_admitted: bool = True
    is_compared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A move that may be made. `replaced` is the registered model that loses the slot by it."""

    to_stage: Stage
    becomes_champion: bool
    replaced: str | None


def decide_transition(
    standing: Standing,
    *,
    to_stage: Stage,
    replaces: str | None,
    table: Table = TRANSITIONS,
    takes_slot: bool = True,
) -> Move:
    """The move to `to_stage`; `replaces` names the registered model that may lose the slot.

    `takes_slot` is false when the version is not to become champion even in production. Raises
    TransitionRefusedError, which says what is missing and which moves are possible.
    """
    standing = replace(standing, takes_slot=takes_slot)
    needs = table.get((standing.stage, to_stage))
    if needs is None:
        detail = f"{standing.model} {standing.number} is in {standing.stage} and cannot move to {to_stage}."
        raise _refusal(standing, detail, fix="Make one of the moves in `possible`.", table=table, missing=[detail])
    promotes = to_stage is Stage.PRODUCTION and takes_slot
    if replaces is not None and (not promotes or replaces != standing.slot_holder):
        detail = f"`replaces` names {replaces}, which is not the other champion that this move would replace."
        raise _refusal(
            standing,
            detail,
            fix="Leave `replaces` out, or name the present holder of the slot.",
            table=table,
            missing=[detail],
        )
    missing = [need for need in needs if not _has(standing, need, replaces=replaces)]
    if missing:
        detail = f"{standing.model} {standing.number} cannot move from {standing.stage} to {to_stage} yet."
        raise _refusal(
            standing,
            detail,
            fix=" ".join(missing),
            table=table,
            missing=[need.value for need in missing],
            slot_holder=standing.slot_holder,
        )
    return Move(to_stage=to_stage, becomes_champion=promotes, replaced=standing.slot_holder if promotes else None)


def possible_moves(standing: Standing, *, table: Table = TRANSITIONS) -> list[dict[str, Any]]:
    """Every move from where the version stands, with what each still needs."""
    return [
        {
            "to_stage": to_stage,
            "needs": [need.value for need in needs if not _has(standing, need, replaces=None)],
        }
        for (from_stage, to_stage), needs in table.items()
        if from_stage is standing.stage
    ]


def _has(standing: Standing, need: Need, *, replaces: str | None) -> bool:
    match need:
        case Need.NOT_QUARANTINED:
            return not standing.quarantined
        case Need.BUILT:
            return standing.build_is_admitted
        case Need.NOT_REJECTED:
            return standing.review_is_admitted
        case Need.ARTIFACT:
            return standing.has_artifact
        case Need.ENDPOINT:
            return standing.endpoint_health in ("healthy", "unknown")
        case Need.FREE_SLOT:
            return not standing.takes_slot or standing.slot_holder in (None, replaces)
        case Need.NOT_COMPARED:
            return not standing.is_compared
        case Need.NOT_CHAMPION:
            return not standing.is_champion


def _refusal(standing: Standing, detail: str, *, fix: str, table: Table, **extra: Any) -> TransitionRefusedError:
    possible = possible_moves(standing, table=table)
    return TransitionRefusedError(detail, fix=fix, stage=standing.stage, possible=possible, **extra)
