"""Rows that the broker refuses are set aside: kept with the reason, until a person releases them.

Behind such a row its key waits, so that no reader meets a gap; all other keys go on. A compacted topic's key does not
wait, for there a newer document replaces the refused one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg

from modelyard_registry.outbox.leadership import LeaderSession, LeadershipLostError
from modelyard_registry.transactions.database import Connection

SET_ASIDE = """
UPDATE outbox SET set_aside_at = $2, set_aside_reason = $3 WHERE id = $1 RETURNING audit_entry_id"""

INDEX_OF = "SELECT log_index FROM audit_entries WHERE id = $1"

# What is still in the outbox was not published: batches of the log's one partition follow each other.
TAKE_BACK = """
UPDATE audit_entries a SET log_index = NULL FROM outbox o
WHERE o.audit_entry_id = a.id AND a.log_index >= $1 RETURNING a.id"""

MOVE_LAST = "UPDATE relay_position SET last_log_index = last_log_index - $1 RETURNING last_log_index"

COUNT = "SELECT count(*) FROM outbox WHERE set_aside_at IS NOT NULL"

LIST = """
SELECT id, topic, key, type, octet_length(payload) AS payload_bytes, set_aside_at, set_aside_reason AS reason,
    (SELECT count(*) FROM outbox behind WHERE behind.topic = o.topic AND behind.key = o.key AND behind.id > o.id)
        AS rows_behind
FROM outbox o WHERE set_aside_at IS NOT NULL ORDER BY id LIMIT $1"""

RELEASE = """
UPDATE outbox SET set_aside_at = NULL, set_aside_reason = NULL
WHERE set_aside_at IS NOT NULL AND (id = ANY($1::bigint[]) OR $1 IS NULL) RETURNING id"""

LISTED_MAX = 1_000

AnyConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | Connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAsideRow:
    """An outbox row that the broker refused, and how many rows of its key wait behind it."""

    id: int
    topic: str
    key: str
    type: str
    payload_bytes: int
    set_aside_at: datetime
    reason: str
    rows_behind: int


async def list_set_aside(connection: AnyConnection, *, limit: int = LISTED_MAX) -> list[SetAsideRow]:
    """The rows that are set aside, oldest first: for an operator."""
    return [SetAsideRow(**each) for each in await connection.fetch(LIST, limit)]


async def release(connection: AnyConnection, row_ids: Sequence[int] | None) -> list[int]:
    """Let the relay try rows again, all of them when no ids are given; returns which ones it will. For an operator."""
    return [each["id"] for each in await connection.fetch(RELEASE, None if row_ids is None else list(row_ids))]


class SetAsideRows:
    """Sets rows aside in the leader's session."""

    def __init__(self, session: LeaderSession) -> None:
        self._session = session

    async def count(self) -> int:
        """How many rows are set aside."""
        return int(await self._session.use(lambda connection: connection.fetchval(COUNT)))

    async def list_oldest(self) -> list[SetAsideRow]:
        """The oldest row that is set aside, if there is one."""
        return await self._session.use(lambda connection: list_set_aside(connection, limit=1))

    async def find_index(self, row_id: int) -> int | None:
        """The log index of a row's audit entry, None when it has none."""
        statement = "SELECT a.log_index FROM outbox o JOIN audit_entries a ON a.id = o.audit_entry_id WHERE o.id = $1"
        found: int | None = await self._session.use(lambda connection: connection.fetchval(statement, row_id))
        return found

    async def set_aside(self, row_id: int, *, reason: str, now: datetime) -> None:
        """Set a row aside that the broker does not have.

        An audit entry gives its index back, and so do those after it, which are not published either: the next one
        that is published gets the index, and the log stays gapless.
        """

        async def set_it_aside(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit TO on")
                entry_id: Any = await connection.fetchval(SET_ASIDE, row_id, now, reason)
                index = await connection.fetchval(INDEX_OF, entry_id) if entry_id is not None else None
                if index is None:
                    return
                taken = await connection.fetch(TAKE_BACK, index)
                last = await connection.fetchval(MOVE_LAST, len(taken))
                if last != index - 1:
                    msg = f"the audit log's indexes from {index} on are not all unpublished"
                    raise LeadershipLostError(msg)

        await self._session.use(set_it_aside)
