"""How far the registry's consumers have come, kept beside what they did: offset and effect are one transaction."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from modelyard_runtime.consume import Batch
from modelyard_runtime.errors import StaleOffsetError

from modelyard_registry.transactions.database import Connection, Database

# The row's lock makes two consumers of one partition take turns; a row that is already further stays as it is.
ADVANCE = """
INSERT INTO consumer_offsets (consumer_group, topic, partition, next_offset) VALUES ($1, $2, $3, $5)
ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET next_offset = excluded.next_offset
WHERE consumer_offsets.next_offset <= $4
RETURNING next_offset"""

STORED = """
SELECT stored.topic, stored.partition, stored.next_offset
FROM consumer_offsets stored JOIN unnest($2::text[], $3::integer[]) AS asked (topic, partition)
  ON stored.topic = asked.topic AND stored.partition = asked.partition
WHERE stored.consumer_group = $1"""

Partition = tuple[str, int]
StartOffsets = Callable[[Collection[Partition]], Awaitable[Mapping[Partition, int]]]


async def advance_offset(connection: Connection, batch: Batch, *, group: str) -> None:
    """Store that the batch is done, in the transaction of its effects.

    Raises StaleOffsetError when records of it were applied before: the transaction must not be committed.
    """
    stored = await connection.fetchval(
        ADVANCE, group, batch.topic, batch.partition, batch.first_offset, batch.next_offset
    )
    if stored is None:
        raise StaleOffsetError(f"{batch.topic}/{batch.partition} was applied beyond offset {batch.first_offset} before")


def stored_offsets(database: Database, *, group: str) -> StartOffsets:
    """Where a consumer group goes on: the stored next offset of each partition that has one."""

    async def start_offsets(partitions: Collection[Partition]) -> Mapping[Partition, int]:
        topics = [topic for topic, _ in partitions]
        numbers = [number for _, number in partitions]
        async with database.reading() as connection:
            rows = await connection.fetch(STORED, group, topics, numbers)
        return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    return start_offsets
