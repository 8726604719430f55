"""The relay's statements. All run in the leader's session."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
from modelyard_events.topics import TOPICS, Kind

from modelyard_registry.outbox.leadership import LeaderSession
from modelyard_registry.outbox.rows import StateDocument, UnpublishedRow

COUNTED_MAX = 100_000
COMPACTED = [topic.name for topic in TOPICS if topic.kind is Kind.STATE]

_COLUMNS = """o.id, o.topic, o.key, o.event_id, o.type, o.audit_entry_id::text, o.occurred_at, o.actor,
    o.correlation_id, o.causation_id, o.payload"""

# Behind a row that is set aside its key waits, except on a compacted topic, where a newer document replaces it.
UNPUBLISHED = f"""
SELECT {_COLUMNS}, o.sequence FROM outbox o
WHERE o.set_aside_at IS NULL AND NOT EXISTS (
    SELECT FROM outbox s
    WHERE s.set_aside_at IS NOT NULL AND s.topic = o.topic AND s.key = o.key AND s.id < o.id
        AND s.topic <> ALL ($2::text[])
)
ORDER BY o.id LIMIT $1"""

INDEXED = f"""
SELECT {_COLUMNS}, a.log_index AS sequence
FROM outbox o JOIN audit_entries a ON a.id = o.audit_entry_id
WHERE a.log_index IS NOT NULL ORDER BY a.log_index LIMIT $1"""

GIVE_INDEXES = """
WITH unindexed AS (
    SELECT given.id, row_number() OVER (ORDER BY given.place) AS place
    FROM unnest($1::uuid[]) WITH ORDINALITY AS given (id, place) JOIN audit_entries USING (id)
    WHERE audit_entries.log_index IS NULL
), moved AS (
    UPDATE relay_position SET last_log_index = last_log_index + (SELECT count(*) FROM unindexed)
    RETURNING last_log_index - (SELECT count(*) FROM unindexed) AS before
)
UPDATE audit_entries SET log_index = moved.before + unindexed.place
FROM unindexed, moved
WHERE audit_entries.id = unindexed.id
RETURNING audit_entries.id::text, audit_entries.log_index"""

DELETE = """
WITH gone AS (DELETE FROM outbox WHERE id = ANY($1::bigint[]) RETURNING audit_entry_id)
UPDATE audit_entries SET published_at = $2 FROM gone WHERE audit_entries.id = gone.audit_entry_id"""

BACKLOG = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE set_aside_at IS NULL LIMIT $1) AS counted) AS rows,
       (SELECT occurred_at FROM outbox WHERE set_aside_at IS NULL ORDER BY id LIMIT 1) AS oldest"""

# The position in the write-ahead log names the timeline at once; pg_control_checkpoint() goes on naming the
# one before until the first checkpoint after a failover.
HISTORY = """
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint AS timeline_id"""

POSITION = "SELECT generation, system_identifier, timeline_id FROM relay_position FOR UPDATE"

MOVE_GENERATION = """
UPDATE relay_position SET generation = $1, system_identifier = $2, timeline_id = $3"""

RISE = """
UPDATE relay_position SET generation = greatest(generation, $1) + 1 RETURNING generation"""

WAITING = "SELECT DISTINCT key FROM outbox WHERE topic = $1 AND key = ANY($2::text[])"

# A document that still waits in the outbox will be published from there, in its order.
_DOCUMENTS = """
SELECT d.topic, d.key, d.type, d.sequence, d.document::text AS document
FROM state_documents d
WHERE d.topic = $1 AND NOT EXISTS (
    SELECT 1 FROM outbox o WHERE o.topic = $1 AND o.key = d.key AND o.set_aside_at IS NULL
)"""

DOCUMENTS_AFTER = f"{_DOCUMENTS} AND d.key > $2 ORDER BY d.key LIMIT $3"

DOCUMENTS_OF = f"{_DOCUMENTS} AND d.key = ANY($2::text[])"


class OutboxTable:
    """The outbox, the audit index and the documents of compacted topics, as the leader reads and marks them."""

    def __init__(self, session: LeaderSession) -> None:
        self._session = session

    async def list_unpublished(self, *, limit: int) -> list[UnpublishedRow]:
        """The oldest rows. Those of one key come in the order in which they were committed."""
        return [UnpublishedRow._make(each) for each in await self._fetch(UNPUBLISHED, limit, COMPACTED)]

    async def list_indexed(self, *, limit: int) -> list[UnpublishedRow]:
        """Audit entries that were given their index but are perhaps not published, in index order."""
        return [UnpublishedRow._make(each) for each in await self._fetch(INDEXED, limit)]

    async def give_log_indexes(self, entry_ids: Sequence[str]) -> dict[str, int]:
        """Number audit entries gaplessly, for good: committed before anyone can see the numbers."""

        async def give(connection: "asyncpg.Connection[asyncpg.Record]") -> list[asyncpg.Record]:
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit TO on")
                return await connection.fetch(GIVE_INDEXES, list(entry_ids))

        return {each["id"]: each["log_index"] for each in await self._session.use(give)}

    async def delete(self, row_ids: Sequence[int], *, published_at: datetime) -> None:
        """Forget rows that the broker has acknowledged, and say so on their audit entries."""
        await self._session.use(lambda connection: connection.execute(DELETE, list(row_ids), published_at))

    async def backlog(self) -> tuple[int, datetime | None]:
        """How many rows wait (counted up to `COUNTED_MAX`), and since when the oldest does."""
        found = (await self._fetch(BACKLOG, COUNTED_MAX))[0]
        return found["rows"], found["oldest"]

    async def take_generation(self) -> int:
        """The generation of this database's history: one more whenever it is not the one that led before."""

        async def take(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit TO on")
                history = tuple((await connection.fetch(HISTORY))[0])
                known = (await connection.fetch(POSITION))[0]
                generation: int = known["generation"]
                if (known["system_identifier"], known["timeline_id"]) == history:
                    return generation
                if known["system_identifier"] is not None:
                    generation += 1
                await connection.execute(MOVE_GENERATION, generation, *history)
                return generation

        return await self._session.use(take)

    async def rise_above(self, generation: int) -> int:
        """Begin a generation that is higher than the given one, and than the present one; returns it."""

        async def rise(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
            async with connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit TO on")
                return int(await connection.fetchval(RISE, generation))

        return await self._session.use(rise)

    async def list_waiting(self, topic: str, keys: Sequence[str]) -> set[str]:
        """Those of the keys whose documents wait in the outbox."""
        return {each["key"] for each in await self._fetch(WAITING, topic, list(keys))} if keys else set()

    async def list_documents(
        self, topic: str, *, after: str | None, limit: int, generation: int
    ) -> list[StateDocument]:
        """A page of the topic's documents that do not wait in the outbox, after the given key."""
        found = await self._fetch(DOCUMENTS_AFTER, topic, after or "", limit)
        return [_document(each, generation=generation) for each in found]

    async def list_documents_of(self, topic: str, keys: Sequence[str], *, generation: int) -> list[StateDocument]:
        """The documents of those keys, except the ones that wait in the outbox."""
        found = await self._fetch(DOCUMENTS_OF, topic, list(keys))
        return [_document(each, generation=generation) for each in found]

    async def _fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self._session.use(lambda connection: connection.fetch(statement, *arguments))


def _document(found: asyncpg.Record, *, generation: int) -> StateDocument:
    return StateDocument(
        topic=found["topic"],
        key=found["key"],
        event_type=found["type"],
        order=(generation, found["sequence"]),
        payload=found["document"],
    )
