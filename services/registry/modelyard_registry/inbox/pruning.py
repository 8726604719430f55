"""Forgets what can no longer be repeated: the inbox and the counted sequences of producers that are gone."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from modelyard_runtime.clock import Clock

from modelyard_registry.transactions.database import Database, DatabaseUnavailableError

# Longer than the topics are kept that a repeated fact could be made from.
KEPT_FOR = timedelta(days=7)
INTERVAL_S = 60.0
CHUNK_ROWS_MAX = 5_000
CHUNKS_MAX = 20

PRUNE_INBOX = """
DELETE FROM inbox WHERE (consumer_group, dedupe_key) IN (
    SELECT consumer_group, dedupe_key FROM inbox WHERE applied_at < $1 ORDER BY applied_at LIMIT $2)"""

PRUNE_SEQUENCES = """
DELETE FROM counted_sequences WHERE (source, topic, partition) IN (
    SELECT source, topic, partition FROM counted_sequences WHERE counted_at < $1 LIMIT $2)"""


class Pruning:
    """Runs beside the service: some rows at a time, so that nobody waits for it."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run(self) -> None:
        """Prune every minute until cancelled."""
        while True:
            with suppress(DatabaseUnavailableError):  # The next minute is as good.
                await self.prune()
            await asyncio.sleep(INTERVAL_S)

    async def prune(self) -> int:
        """Forget what is older than `KEPT_FOR`, at most `CHUNKS_MAX` chunks of each; returns the rows."""
        return sum([await self._prune(statement) for statement in (PRUNE_INBOX, PRUNE_SEQUENCES)])

    async def _prune(self, statement: str) -> int:
        total = 0
        for _ in range(CHUNKS_MAX):
            async with self._database.reading() as connection:
                tag = await connection.execute(statement, self._clock() - KEPT_FOR, CHUNK_ROWS_MAX)
            count = int(tag.rpartition(" ")[2])
            total += count
            if count < CHUNK_ROWS_MAX:
                break
        return total
