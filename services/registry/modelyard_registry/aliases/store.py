"""Aliases in PostgreSQL: what they point at, since when, and every move that they made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from modelyard_events.values import Stage

from modelyard_registry.routes.champion_history import CHAMPION, AliasMove, Cause
from modelyard_registry.transactions.database import Connection

# How far back a rollback looks; what was champion longer ago is nothing to go back to.
HISTORY_MOVES_MAX = 1_000

LIST_ALIASES = """
SELECT alias, number, moved_at, moved_by FROM aliases
WHERE registered_model_id = $1 AND alias > $2 AND ($3::text IS NULL OR alias = $3) AND ($5::text IS NULL OR EXISTS (
    SELECT 1 FROM model_versions v
    WHERE v.registered_model_id = aliases.registered_model_id AND v.number = aliases.number AND v.stage = $5))
ORDER BY alias LIMIT $4
"""
POINT_ALIAS = """
INSERT INTO aliases (registered_model_id, alias, number, moved_at, moved_by) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (registered_model_id, alias)
DO UPDATE SET number = excluded.number, moved_at = excluded.moved_at, moved_by = excluded.moved_by
"""
REMOVE_ALIAS = "DELETE FROM aliases WHERE registered_model_id = $1 AND alias = $2"
INSERT_ALIAS_MOVE = """
INSERT INTO alias_moves (registered_model_id, alias, from_number, to_number, cause, moved_at, moved_by, reason)
VALUES ($1, $2, $3, $4, $5, greatest($6, (
    SELECT moved_at FROM alias_moves WHERE registered_model_id = $1 AND alias = $2 ORDER BY id DESC LIMIT 1
)), $7, $8)
"""
LIST_ALIAS_MOVES = """
SELECT from_number, to_number, cause FROM alias_moves WHERE registered_model_id = $1 AND alias = $2
ORDER BY id DESC LIMIT $3
"""
ALIAS_AT = """
SELECT to_number, moved_at FROM alias_moves WHERE registered_model_id = $1 AND alias = $2 AND moved_at <= $3
ORDER BY id DESC LIMIT 1
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMove:
    """An alias of one registered model moves; None means that it points at nothing."""

    registered_model_id: UUID
    alias: str
    from_number: int | None
    to_number: int | None
    cause: Cause
    reason: str | None
    moved_at: datetime
    moved_by: str


async def save_alias(connection: Connection, move: RecordedMove) -> None:
    """Move the alias and remember the move."""
    if move.to_number is None:
        await connection.execute(REMOVE_ALIAS, move.registered_model_id, move.alias)
    else:
        await connection.execute(
            POINT_ALIAS, move.registered_model_id, move.alias, move.to_number, move.moved_at, move.moved_by
        )
    await connection.execute(
        INSERT_ALIAS_MOVE,
        move.registered_model_id,
        move.alias,
        move.from_number,
        move.to_number,
        move.cause,
        move.moved_at,
        move.moved_by,
        move.reason,
    )


async def list_champion_moves(connection: Connection, *, registered_model_id: UUID) -> Sequence[AliasMove]:
    """The history of the alias `champion`, its last `HISTORY_MOVES_MAX` moves, oldest first."""
    rows = await connection.fetch(LIST_ALIAS_MOVES, registered_model_id, CHAMPION, HISTORY_MOVES_MAX)
    return [
        AliasMove(from_number=row["from_number"], to_number=row["to_number"], cause=Cause(row["cause"]))
        for row in reversed(rows)
    ]


async def find_champion_at(
    connection: Connection, *, registered_model_id: UUID, at: datetime
) -> tuple[int, datetime] | None:
    """Which number was champion at that moment, and since when; None when there was none."""
    row = await connection.fetchrow(ALIAS_AT, registered_model_id, CHAMPION, at)
    return (row["to_number"], row["moved_at"]) if row and row["to_number"] is not None else None
