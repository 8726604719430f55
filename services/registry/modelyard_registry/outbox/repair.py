"""Keeps the last record of each key on the compacted topics the newest one that this registry signed.

A relay that was paused while another one took over can wake and send an old document, and whoever may write to the
topics can forge one. Compaction keeps the last record, so whoever starts afterwards would begin with the past, or
with nothing: with an old route, or with a token that was revoked since. The leader reads these topics from their
beginning, and says a key's newest document again whenever another record came after it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from itertools import islice

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from modelyard_events.envelope import RecordOrder
from modelyard_events.topics import ACCESS, ROUTES, Topic
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.state.keys import StateKeys
from modelyard_runtime.state.proof import StateProof

from modelyard_registry.outbox.rows import StateDocument

log = structlog.get_logger()


STATE_TOPICS: tuple[Topic, ...] = (ROUTES, ACCESS)
"""The topics whose newest documents the database has, in the view `state_documents`."""

POLL_TIMEOUT_MS = 1_000
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 2.0
CHECKED_AT_ONCE = 10
"""Records whose signatures are checked in one go, between requests: about 2 ms of the event loop."""
REPAIRED_AT_ONCE = 500
DIGITS_MAX = 18
"""Of a number in a header: what a 64-bit integer holds. A longer one is nobody's of ours."""


class LastRecords:
    """What the log of one topic holds per key: the highest order that was seen, and whether the last record has it."""

    def __init__(self) -> None:
        self._highest: dict[str, RecordOrder] = {}
        self._overtaken: set[str] = set()
        self._own: dict[str, RecordOrder] = {}
        self._ahead: set[str] = set()

    def see(self, key: str, *, order: RecordOrder) -> None:
        """The next record of the log, in the log's order, signed by a registry."""
        highest = self._highest.get(key)
        if highest is not None and order < highest:
            self._overtaken.add(key)
            return
        self._highest[key] = order
        self._overtaken.discard(key)
        if order > self._own.get(key, (0, 0)):
            self._ahead.add(key)

    def see_unproved(self, key: str) -> None:
        """The next record of the log, which no registry signed: it covers whatever the key had before."""
        self._overtaken.add(key)

    def say(self, key: str, *, order: RecordOrder) -> None:
        """This registry is about to publish a document of that order, straight from its database."""
        self._own[key] = max(order, self._own.get(key, order))
        if order >= self._highest.get(key, order):
            self._ahead.discard(key)

    @property
    def overtaken(self) -> tuple[str, ...]:
        """Keys whose last record is not the newest one, as many as are repaired in one go."""
        return tuple(islice(self._overtaken, REPAIRED_AT_ONCE))

    @property
    def ahead(self) -> tuple[str, ...]:
        """The keys of which the log has a newer document than this registry's database ever had."""
        return tuple(sorted(self._ahead))

    @property
    def generation(self) -> int:
        """The highest generation in the log."""
        return max((generation for generation, _ in self._highest.values()), default=0)

    def select_mending(self, documents: Iterable[StateDocument]) -> list[StateDocument]:
        """Those documents that are worth saying again: none that is itself older than what the log holds.

        The log is ahead of the table only when another registry writes to the same topic, or when the database was
        restored; answering each record would start an endless quarrel.
        """
        return [each for each in documents if each.order >= self._highest.get(each.key, each.order)]

    def forget_overtaken(self, keys: Iterable[str]) -> None:
        """These were said again, or cannot be: the log will tell if an older one follows once more."""
        self._overtaken.difference_update(keys)


class StateTopicsTail:
    """Reads the compacted topics from their beginning, and calls `on_overtaken` when a repair is due.

    A record that none of `keys` signed counts for nothing, whatever its order; without keys, all are believed.
    """

    def __init__(
        self, *, kafka: KafkaConnection, prefix: str, keys: StateKeys | None, on_overtaken: Callable[[], None]
    ) -> None:
        self.records = {topic.name: LastRecords() for topic in STATE_TOPICS}
        self.has_caught_up = False
        self._prefix = prefix
        self._on_overtaken = on_overtaken
        self._proofs = {
            topic.name: StateProof(keys, topic=f"{prefix}{topic.name}", seconds=time.monotonic)
            for topic in STATE_TOPICS
        }
        self._consumer = AIOKafkaConsumer(
            **kafka.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            client_id="modelyard-relay-tail",
            # A leader's open transaction must not hide a record: what is in the log is in the log.
            isolation_level="read_uncommitted",
        )

    async def start(self) -> None:
        """Stand at the beginning of the topics. Raises KafkaError when the broker cannot be reached."""
        async with asyncio.timeout(START_TIMEOUT_S):
            await self._consumer.start()
            partitions = [
                TopicPartition(f"{self._prefix}{topic.name}", number)
                for topic in STATE_TOPICS
                for number in range(topic.partitions)
            ]
            self._consumer.assign(partitions)
            await self._consumer.seek_to_beginning(*partitions)

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
                await self._see(partition.topic.removeprefix(self._prefix), records)
            # Only whoever has read the log to its end knows which records are the last ones.
            self.has_caught_up = self.has_caught_up or await self._is_at_end()
            if self.has_caught_up and any(each.overtaken for each in self.records.values()):
                self._on_overtaken()

    def trouble(self) -> str:
        """What a person should look at, or nothing."""
        return "; ".join(each for proof in self._proofs.values() if (each := proof.trouble()))

    async def _see(self, topic: str, records: list[ConsumerRecord]) -> None:
        seen, proof = self.records[topic], self._proofs[topic]
        for count, record in enumerate(records, start=1):
            if proof.is_proved(record, is_new=self.has_caught_up):
                seen.see(_key_of(record), order=_order_of(record))
            else:
                seen.see_unproved(_key_of(record))
            if proof.is_checked and count % CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _is_at_end(self) -> bool:
        for partition in self._consumer.assignment():
            end = self._consumer.highwater(partition)
            if end is None or await self._consumer.position(partition) < end:
                return False
        return True


def _key_of(record: ConsumerRecord) -> str:
    return (record.key or b"").decode(errors="replace")


def _order_of(record: ConsumerRecord) -> RecordOrder:
    """(generation, sequence) from the headers; a record without them, or a tombstone, is older than any."""
    if record.value is None:
        return (0, 0)
    headers = dict(record.headers)
    return _whole(headers.get("ce_generation"), missing=1), _whole(headers.get("ce_sequence"), missing=0)


def _whole(raw: bytes | None, *, missing: int) -> int:
    return int(raw) if raw is not None and raw.isdigit() and len(raw) <= DIGITS_MAX else missing
