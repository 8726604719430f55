"""Stages, their history and former champions in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from modelyard_events.values import Endpoint, Stage

from modelyard_registry.deployments.traffic import endpoint_changes
from modelyard_registry.lifecycle.rollback import EarlierChampion
from modelyard_registry.models.domain import ModelVersion
from modelyard_registry.policies.domain import EffectivePolicy
from modelyard_registry.routes.domain import ROUTED_ENVIRONMENT
from modelyard_registry.transactions.database import Connection

SET_STAGE = """
UPDATE model_versions SET stage = $2, updated_at = $3, revision = revision + 1 WHERE id = $1 RETURNING revision
"""
# A transaction that waited for the lock may have begun before the one that it waited for: history never goes back.
INSERT_TRANSITION = """
INSERT INTO transitions (
    id, version_id, from_stage, to_stage, reason, transitioned_at, transitioned_by, verdicts, request_id
) VALUES ($1, $2, $3, $4, $5, greatest($6, (
    SELECT transitioned_at FROM transitions WHERE version_id = $2 ORDER BY id DESC LIMIT 1
)), $7, $8, $9)
"""
LIST_TRANSITIONS = """
SELECT id, from_stage, to_stage, reason, transitioned_at, transitioned_by, verdicts, request_id FROM transitions
WHERE version_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""
STAGE_AT = """
SELECT to_stage AS stage, transitioned_at AS since FROM transitions
WHERE version_id = $1 AND transitioned_at <= $2 ORDER BY transitioned_at DESC, id DESC LIMIT 1
"""
FIRST_MOVE = "SELECT from_stage FROM transitions WHERE version_id = $1 ORDER BY transitioned_at, id LIMIT 1"
SET_QUARANTINED = """
UPDATE model_versions SET quarantined = $2, updated_at = $3, revision = revision + 1 WHERE id = $1 RETURNING revision
"""
FORMER_CHAMPIONS = f"""
SELECT v.number, v.stage, v.quarantined, v.build_status, v.review_status, d.endpoint, d.agreed_endpoint
FROM model_versions v LEFT JOIN deployments d ON d.version_id = v.id AND d.environment = '{ROUTED_ENVIRONMENT}'
WHERE v.registered_model_id = $1 AND v.number = ANY($2)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One move of a version, as it is remembered."""

    id: UUID
    from_stage: Stage
    to_stage: Stage
    reason: str | None
    transitioned_at: datetime
    transitioned_by: str
    verdicts: tuple[dict[str, Any], ...] = ()
    request_id: UUID | None = None


async def save_stage(connection: Connection, version: ModelVersion, transition: Transition) -> int:
    """Move `version` to the transition's stage and remember the move; answers the version's new revision."""
    revision: int = await connection.fetchval(SET_STAGE, version.id, transition.to_stage, transition.transitioned_at)
    await connection.execute(
        INSERT_TRANSITION,
        transition.id,
        version.id,
        transition.from_stage,
        transition.to_stage,
        transition.reason,
        transition.transitioned_at,
        transition.transitioned_by,
        list(transition.verdicts),
        transition.request_id,
    )
    return revision


async def list_transitions(
    connection: Connection, *, version_id: UUID, before: UUID | None, limit: int
) -> Sequence[Transition]:
    """The version's moves, newest first."""
    rows = await connection.fetch(LIST_TRANSITIONS, version_id, before, limit)
    return [
        Transition(
            id=row["id"],
            from_stage=Stage(row["from_stage"]),
            to_stage=Stage(row["to_stage"]),
            reason=row["reason"],
            transitioned_at=row["transitioned_at"],
            transitioned_by=row["transitioned_by"],
            verdicts=tuple(row["verdicts"]),
            request_id=row["request_id"],
        )
        for row in rows
    ]


async def find_stage_at(
    connection: Connection, version: ModelVersion, *, at: datetime
) -> tuple[Stage, datetime] | None:
    """In which stage the version was at that moment, and since when; None when it was not registered yet."""
    row = await connection.fetchrow(STAGE_AT, version.id, at)
    if row is not None:
        return Stage(row["stage"]), row["since"]
    if at < version.created_at:
        return None
    return Stage(await connection.fetchval(FIRST_MOVE, version.id) or version.stage), version.created_at


async def save_quarantine(connection: Connection, version: ModelVersion, *, quarantined: bool, now: datetime) -> int:
    """Put `version` in quarantine or release it; answers its new revision."""
    revision: int = await connection.fetchval(SET_QUARANTINED, version.id, quarantined, now)
    return revision


async def list_former_champions(
    connection: Connection, *, registered_model_id: UUID, numbers: Sequence[int], policy: EffectivePolicy
) -> Sequence[EarlierChampion]:
    """Those versions as they stand now under `policy`, in the order of `numbers`."""
    rows = await connection.fetch(FORMER_CHAMPIONS, registered_model_id, numbers)
    by_number = {
        row["number"]: EarlierChampion(
            number=row["number"],
            stage=Stage(row["stage"]),
            quarantined=row["quarantined"],
            is_admitted=policy.admits(build_status=row["build_status"], review_status=row["review_status"]),
            endpoint_changes=endpoint_changes(_endpoint(row["agreed_endpoint"]), _endpoint(row["endpoint"])),
            endpoint=_endpoint(row["endpoint"]),
        )
        for row in rows
    }
    return [by_number[number] for number in numbers]


def _endpoint(document: dict[str, Any] | None) -> Endpoint | None:
    return None if document is None else Endpoint.model_validate(document)
