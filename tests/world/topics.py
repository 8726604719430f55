"""Read topics as any outsider would: without a consumer group, from their beginning."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from modelyard_events.codec import Received, Record, decode
from modelyard_events.invalidations import EntityPurged
from modelyard_events.signing import Signed, read_signature
from modelyard_events.topics import CACHE_INVALIDATIONS, Topic

from tests.world.published import Published

READ_TIMEOUT_S = 30.0
POLL_MS = 200


@dataclass(slots=True)
class _Read:
    """What was read of a topic so far, by partition."""

    records: dict[TopicPartition, list[ConsumerRecord]] = field(default_factory=dict)
    published: dict[TopicPartition, list[Published]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics of one system on one broker. What was read once is kept, and only what is new is read again."""

    bootstrap: str
    prefix: str
    _read: dict[str, _Read] = field(default_factory=dict, repr=False)

    async def records(self, topic: Topic) -> list[ConsumerRecord]:
        """All that is on a topic now, partition by partition, each in order."""
        read = await self._read_up(topic)
        return [record for place in sorted(read.records) for record in read.records[place]]

    async def published(self, topic: Topic) -> list[Published]:
        """The events on a topic now, likewise. Fails on a record that is none of ours."""
        read = await self._read_up(topic)
        for place, records in read.records.items():
            events = read.published.setdefault(place, [])
            events += [published_in(record, topic=topic) for record in records[len(events) :]]
        return [event for place in sorted(read.records) for event in read.published[place]]

    async def _read_up(self, topic: Topic) -> _Read:
        read = self._read.setdefault(topic.name, _Read())
        async with asyncio.timeout(READ_TIMEOUT_S), self._consumer(topic) as consumer:
            ends: dict[TopicPartition, int] = await consumer.end_offsets(list(consumer.assignment()))
            for place, end in ends.items():
                known = read.records.setdefault(place, [])
                position = known[-1].offset + 1 if known else 0
                assert position <= end, f"{place} ends at {end}, after it had reached {position}"
                consumer.seek(place, position)
            while behind := [place for place, end in ends.items() if await consumer.position(place) < end]:
                for place, records in (await consumer.getmany(*behind, timeout_ms=POLL_MS)).items():
                    read.records[place] += records
        return read

    @asynccontextmanager
    async def follow(self, topic: Topic, *, on_record: Callable[[Published], None]) -> AsyncIterator[None]:
        """Tell `on_record` of everything that is published on a topic, from its beginning, until the block ends."""
        async with self._consumer(topic) as consumer:

            async def read() -> None:
                async for record in consumer:
                    on_record(published_in(record, topic=topic))

            task = asyncio.create_task(read())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait([task])

    @asynccontextmanager
    async def _consumer(self, topic: Topic) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
        )
        name = self.prefix + topic.name
        consumer.assign([TopicPartition(name, number) for number in range(topic.partitions)])
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


@dataclass(slots=True)
class PurgesSeen:
    """The highest version whose purge was published, by tenant and entity id, as far as they were read."""

    floors: dict[tuple[str, str], int] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def on_record(self, record: Published) -> None:
        if isinstance(record.event, EntityPurged) and record.event.version is not None:
            place, version = (record.event.tenant, record.event.entity_id), record.event.version
            self.floors[place] = max(version, self.floors.get(place, 0))
            self._changed.set()

    def floor_of(self, entity_id: str, *, tenant: str) -> int:
        """The version that no answer asked for from now on may be older than."""
        return self.floors.get((tenant, entity_id), 0)

    async def wait_for(self, entity_id: str, *, tenant: str, version: int, timeout_s: float = 30.0) -> None:
        """Return when the purge of this version, or a later one, was read. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while self.floor_of(entity_id, tenant=tenant) < version:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def follow_purges(topics: Topics) -> AsyncIterator[PurgesSeen]:
    """Keep up with `cache-invalidations`, as a client that wants to know what is stale."""
    seen = PurgesSeen()
    async with topics.follow(CACHE_INVALIDATIONS, on_record=seen.on_record):
        yield seen


def published_in(record: ConsumerRecord, *, topic: Topic) -> Published:
    """A readable record of ours."""
    found = Record(key=record.key, value=record.value, headers=tuple(record.headers))
    decoded = decode(found)
    if not isinstance(decoded, Received):
        raise AssertionError(f"{record.topic}/{record.partition}@{record.offset} is no event of ours: {decoded}")
    return Published(
        topic=topic.name,
        partition=record.partition,
        offset=record.offset,
        key=(record.key or b"").decode(),
        envelope=decoded.envelope,
        event=decoded.event,
        is_signed=isinstance(read_signature(found), Signed),
    )
