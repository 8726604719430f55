"""Moving a version with one stage less than ours: what is taken out of production there is archived at once.

Where policy wants others to agree, the move is asked for instead of made: their documents know no request, so the
answer is the version as it stands, with what it waits for.
"""

from dataclasses import dataclass, replace

from modelyard_events.values import Stage

from modelyard_registry.api import Call
from modelyard_registry.approvals.domain import TransitionRequest
from modelyard_registry.approvals.requesting import request_transition
from modelyard_registry.lifecycle.handlers import ApprovalRequiredError, TransitionModelVersion, transition_version
from modelyard_registry.lifecycle.probing import NOT_ASKED, Probing, probe_before
from modelyard_registry.models.domain import ModelVersion
from modelyard_registry.models.locks import lock_slot
from modelyard_registry.models.store import get_version
from modelyard_registry.transactions import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """Which version is to go where, and why."""

    project: str
    model: str
    number: int
    to_stage: Stage
    reason: str | None
    probing: Probing = NOT_ASKED


async def probed(call: Call, moving: Moving) -> Moving:
    """The move with what the version's endpoint said, which is asked before anything is locked."""
    probing = await probe_before(
        call.services, project=moving.project, model=moving.model, reference=moving.number, to_stage=moving.to_stage
    )
    return replace(moving, probing=probing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The version after the move; or as far as it got, and the `request` that others must agree to."""

    version: ModelVersion
    request: TransitionRequest | None


async def move(tx: Transaction, moving: Moving) -> Moved:
    """Make the move, by way of `deprecated` when a version in production is to be archived, or ask others for it.

    Raises what `transition_version` and `request_transition` raise; then nothing was made nor asked.
    """
    await lock_slot(tx.connection, project=moving.project, name=moving.model)
    version = await get_version(tx.connection, project=moving.project, model=moving.model, reference=moving.number)
    if moving.to_stage is Stage.ARCHIVED and version.stage is Stage.PRODUCTION:
        first = await _step(tx, replace(moving, to_stage=Stage.DEPRECATED))
        if first.request is not None:
            return first
    return await _step(tx, moving)


async def put_away(tx: Transaction, moving: Moving) -> Moved:
    """Archive the version, from wherever it stands: what was recorded about it stays.

    Raises what `move` raises.
    """
    await lock_slot(tx.connection, project=moving.project, name=moving.model)
    version = await get_version(tx.connection, project=moving.project, model=moving.model, reference=moving.number)
    if version.stage is Stage.ARCHIVED:
        return Moved(version=version, request=None)
    return await move(tx, moving)


async def _step(tx: Transaction, moving: Moving) -> Moved:
    command = TransitionModelVersion(
        project=moving.project,
        model=moving.model,
        reference=moving.number,
        to_stage=moving.to_stage,
        reason=moving.reason,
        replaces=None,
        probing=moving.probing,
    )
    try:
        return Moved(version=await transition_version(tx, command), request=None)
    except ApprovalRequiredError:
        # Raised before anything is written: the same transaction asks instead.
        request = await request_transition(tx, command)
    version = await get_version(tx.connection, project=moving.project, model=moving.model, reference=moving.number)
    return Moved(version=version, request=request)
