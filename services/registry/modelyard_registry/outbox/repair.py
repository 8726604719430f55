"""Keeps the last record of each key on the compacted topics the newest one.

A relay that was paused while another one took over can wake and send an old document; compaction keeps the
last record, so whoever starts afterwards would begin with the past: with an old route, or with a token that was
revoked since. The leader reads these topics behind itself, and says a key's newest document again whenever an
older one came after it.
"""

import asyncio
from collections.abc import Callable, Iterable

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from modelyard_events.topics import ACCESS, ROUTES, Topic

from modelyard_registry.outbox.rows import StateDocument

log = structlog.get_logger()

Order = tuple[int, int]

STATE_TOPICS: tuple[Topic, ...] = (ROUTES, ACCESS)
"""The topics whose newest documents the database has, in the view `state_documents`."""

POLL_TIMEOUT_MS = 1_000
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 2.0


class LastRecords:
    """What the log of one topic holds per key: the highest order that was seen, and whether the last record has it."""

    def __init__(self) -> None:
        self._highest: dict[str, Order] = {}
        self._overtaken: set[str] = set()

    def see(self, key: str, *, order: Order) -> None:
        """The next record of the log, in the log's order."""
        highest = self._highest.get(key)
        if highest is not None and order < highest:
            self._overtaken.add(key)
            return
        self._highest[key] = order
        self._overtaken.discard(key)

    @property
    def overtaken(self) -> tuple[str, ...]:
        """The keys whose last record is not the newest one."""
        return tuple(sorted(self._overtaken))

    def select_mending(self, documents: Iterable[StateDocument]) -> list[StateDocument]:
        """Those documents that are worth saying again: none that is itself older than what the log holds.

        The log is ahead of the table only when another registry writes to the same topic; answering it
        would start an endless quarrel.
        """
        return [each for each in documents if each.order >= self._highest.get(each.key, each.order)]

    def forget_overtaken(self, keys: Iterable[str]) -> None:
        """These were said again, or cannot be: the log will tell if an older one follows once more."""
        self._overtaken.difference_update(keys)


class StateTopicsTail:
    """Reads the compacted topics from the moment it was opened, and calls `on_overtaken` when a repair is due."""

    def __init__(self, *, bootstrap: str, prefix: str, on_overtaken: Callable[[], None]) -> None:
        self.records = {topic.name: LastRecords() for topic in STATE_TOPICS}
        self._prefix = prefix
        self._on_overtaken = on_overtaken
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            client_id="modelyard-relay-tail",
            # A leader's open transaction must not hide a record: what is in the log is in the log.
            isolation_level="read_uncommitted",
        )

    async def start(self) -> None:
        """Stand at the present end of the topics. Raises KafkaError when the broker cannot be reached."""
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._consumer.start()
            await self._stand_at_end()

    async def _stand_at_end(self) -> None:
        partitions = [
            TopicPartition(f"{self._prefix}{topic.name}", number)
            for topic in STATE_TOPICS
            for number in range(topic.partitions)
        ]
        self._consumer.assign(partitions)
        for partition, offset in (await self._consumer.end_offsets(partitions)).items():
            self._consumer.seek(partition, offset)

    async def stop(self) -> None:
        """Let go of the connections."""
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._consumer.stop()
        except (KafkaError, TimeoutError) as error:
            log.warning("state_tail_not_closed", error=repr(error))

    async def follow(self) -> None:
        """Read until cancelled. A broker that is away is waited for."""
        while True:
            found = await self._consumer.getmany(timeout_ms=POLL_TIMEOUT_MS)
            for partition, records in found.items():
                seen = self.records[partition.topic.removeprefix(self._prefix)]
                for record in records:
                    seen.see(_key_of(record), order=_order_of(record))
            if any(each.overtaken for each in self.records.values()):
                self._on_overtaken()


def _key_of(record: ConsumerRecord) -> str:
    return (record.key or b"").decode(errors="replace")


def _order_of(record: ConsumerRecord) -> Order:
    """(generation, sequence) from the headers; a record without them, or a tombstone, is older than any."""
    if record.value is None:
        return (0, 0)
    headers = dict(record.headers)
    return _whole(headers.get("ce_generation"), missing=1), _whole(headers.get("ce_sequence"), missing=0)


def _whole(raw: bytes | None, *, missing: int) -> int:
    return int(raw) if raw is not None and raw.isdigit() else missing
