"""Aliases in PostgreSQL: what they point at, since when, and whether routing knows those versions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from modelyard_events.values import Stage

from modelyard_registry.database import Connection
from modelyard_registry.models.domain import RegisteredModel

LIST_ALIASES = """
SELECT alias, number, moved_at, moved_by FROM aliases
WHERE registered_model_id = $1 AND alias > $2 AND ($3::text IS NULL OR alias = $3) AND ($5::text IS NULL OR EXISTS (
    SELECT 1 FROM model_versions v
    WHERE v.registered_model_id = aliases.registered_model_id AND v.number = aliases.number AND v.stage = $5))
ORDER BY alias LIMIT $4
"""
# The versions that a routing document may hold: by their stage (deprecated ones as former champions), or because a
# running experiment names them.
IS_ROUTED = """
SELECT EXISTS (
    SELECT 1 FROM model_versions
    WHERE registered_model_id = $1 AND number = ANY($2) AND stage IN ('canary', 'production', 'deprecated')
) OR EXISTS (
    SELECT 1 FROM experiments e, jsonb_to_recordset(e.variants) AS variant (model text, number integer)
    WHERE e.project = $3 AND e.model_type = $4 AND e.state = 'running'
      AND variant.model = $5 AND variant.number = ANY($2))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A movable name and the version that it points at."""

    alias: str
    number: int
    moved_at: datetime
    moved_by: str


async def list_aliases(
    connection: Connection,
    *,
    registered_model_id: UUID,
    after: str,
    limit: int,
    alias: str | None = None,
    stage: Stage | None = None,
) -> Sequence[Alias]:
    """The model's aliases by name, those after the name `after`, or the one that `alias` names.

    With a `stage` only those that point at versions there.
    """
    rows = await connection.fetch(LIST_ALIASES, registered_model_id, after, alias, limit, stage)
    return [Alias(**dict(row)) for row in rows]


async def is_routed(connection: Connection, model: RegisteredModel, *, numbers: Sequence[int]) -> bool:
    """Whether routing may know any of these versions of the model."""
    found: bool = await connection.fetchval(IS_ROUTED, model.id, numbers, model.project, model.model_type, model.name)
    return found
