"""How far the facts of each source were applied, in PostgreSQL: by the numbers that sources give their facts."""

from collections.abc import Collection, Mapping
from datetime import datetime
from operator import itemgetter

from modelyard_registry.transactions.database import Connection
from modelyard_registry.transactions.statements import Columns, Statement

LAST_SEQUENCES = """
SELECT source, last_sequence FROM counted_sequences
WHERE topic = $1 AND partition = $2 AND source = ANY($3::text[])"""

KEEP_SEQUENCES = Statement(
    """
INSERT INTO counted_sequences (source, topic, partition, last_sequence, counted_at)
SELECT source, {topic}, {partition}, last_sequence, {now} FROM {newest} ORDER BY nth
ON CONFLICT (source, topic, partition)
DO UPDATE SET last_sequence = excluded.last_sequence, counted_at = excluded.counted_at""",
    newest=Columns[tuple[str, int]](source=("text", itemgetter(0)), last_sequence=("bigint", itemgetter(1))),
    topic="text",
    partition="integer",
    now="timestamptz",
)


async def last_sequences(
    connection: Connection, sources: Collection[str], *, topic: str, partition: int
) -> dict[str, int]:
    """The newest sequence that was counted of each source, on that partition."""
    rows = await connection.fetch(LAST_SEQUENCES, topic, partition, list(sources))
    return {row["source"]: row["last_sequence"] for row in rows}


async def keep_sequences(
    connection: Connection, newest: Mapping[str, int], *, topic: str, partition: int, now: datetime
) -> None:
    """Remember how far each source was counted."""
    rows = sorted(newest.items())
    await connection.execute(*KEEP_SEQUENCES.bind(newest=rows, topic=topic, partition=partition, now=now))
