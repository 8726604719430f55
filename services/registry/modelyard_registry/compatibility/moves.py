"""Moving a version with one stage less than ours: what is taken out of production there is archived at once."""

from dataclasses import dataclass, replace

from modelyard_events.values import Stage

from modelyard_registry.lifecycle.handlers import TransitionModelVersion, transition_version
from modelyard_registry.models.domain import ModelVersion
from modelyard_registry.models.store import get_version, lock_slot
from modelyard_registry.transactions import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """Which version is to go where, and why."""

    project: str
    model: str
    number: int
    to_stage: Stage
    reason: str | None


async def move(tx: Transaction, moving: Moving) -> ModelVersion:
    """Make the move, by way of `deprecated` when a version in production is to be archived.

    Raises what `transition_version` raises; then neither of the two moves was made.
    """
    command = TransitionModelVersion(
        project=moving.project,
        model=moving.model,
        reference=moving.number,
        to_stage=moving.to_stage,
        reason=moving.reason,
        replaces=None,
    )
    if moving.to_stage is Stage.ARCHIVED:
        version = await get_version(tx.connection, project=moving.project, model=moving.model, reference=moving.number)
        if version.stage is Stage.PRODUCTION:
            await transition_version(tx, replace(command, to_stage=Stage.DEPRECATED))
    return await transition_version(tx, command)


async def put_away(tx: Transaction, moving: Moving) -> None:
    """Archive the version, from wherever it stands: what was recorded about it stays.

    Raises what `transition_version` raises.
    """
    await lock_slot(tx.connection, project=moving.project, name=moving.model)
    version = await get_version(tx.connection, project=moving.project, model=moving.model, reference=moving.number)
    if version.stage is not Stage.ARCHIVED:
        await move(tx, moving)
