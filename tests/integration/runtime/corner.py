"""A topic of its own for a test, with what it takes to write to it, consume it and look at its dead letters."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from modelyard_events.codec import encode
from modelyard_events.entities import EntityChanged
from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.topics import ENTITY_CHANGES, Kind, Topic
from modelyard_runtime.access.permissions import ALL_PROJECTS
from modelyard_runtime.clock import utc_now
from modelyard_runtime.consume import (
    BatchHandler,
    ConsumePolicy,
    Consumption,
    DeadLetters,
    Handler,
    Senders,
    build_broker,
    consume,
    consume_batches,
)
from modelyard_runtime.consume.partition import StartOffsets
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.publish import build_producer
from modelyard_runtime.topic_setup import ensure_topics

QUICK = ConsumePolicy(backoff_initial_s=0.02, backoff_max_s=0.1, commit_interval_s=0.05)
GROUP = "followers"


async def _no_key(_key_id: str) -> None:
    return None


EVERYBODY = Senders(
    ENTITY_CHANGES, find_key=_no_key, ingest_projects={ENTITY_CHANGES.name: ALL_PROJECTS}, clock=utc_now
)
"""These tests are about the consumer policy; who may send what has tests of its own."""
DEADLINE_S = 30.0


async def eventually(is_so: Callable[[], bool], *, within_s: float = DEADLINE_S) -> None:
    """Wait until a condition holds; fails the test when it does not within the deadline."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"did not become true within {within_s:.0f} s"
        await asyncio.sleep(0.01)


def an_entity_changed(number: int) -> EntityChanged:
    """An event that is told apart by its number."""
    return EntityChanged(tenant="acme", entity_type="loan", entity_id=str(number), version=number)


def number_of(event: Event) -> int:
    """The number that `an_entity_changed` was given."""
    assert isinstance(event, EntityChanged)
    return int(event.entity_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corner:
    """One topic and its dead letters on the real broker, for one test alone."""

    bootstrap: str
    prefix: str
    topic: Topic
    producer: AIOKafkaProducer
    policy: ConsumePolicy = QUICK
    senders: Senders | None = EVERYBODY

    @property
    def topic_name(self) -> str:
        return f"{self.prefix}{self.topic.name}"

    @property
    def group(self) -> str:
        return f"{self.prefix}{GROUP}"

    async def publish(self, *numbers: int, key: str | None = None, partition: int = 0) -> None:
        """Write one event per number; each has its own key unless one is given."""
        for number in numbers:
            event = an_entity_changed(number)
            record = encode(event, an_envelope(event.type, subject=key or f"acme/loan/{number}"))
            await self.send(record.value, key=record.key, headers=list(record.headers), partition=partition)

    async def send(
        self,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: list[tuple[str, bytes | None]] | None = None,
        partition: int = 0,
    ) -> None:
        """Write a record as it is."""
        await self.producer.send_and_wait(self.topic_name, value, key=key, headers=headers or [], partition=partition)

    @asynccontextmanager
    async def consuming(
        self, handler: Handler, *, policy: ConsumePolicy | None = None, bootstrap: str | None = None
    ) -> AsyncIterator[Consumption]:
        """A consumer of the topic at work; stopped, as a service stops, at the end of the block."""
        broker = build_broker(kafka=KafkaConnection(bootstrap=bootstrap or self.bootstrap), client_id="test")
        consumption = consume(
            broker,
            self.topic,
            prefix=self.prefix,
            group=self.group,
            on={EntityChanged: handler},
            dead_letters=DeadLetters(self.producer),
            clock=utc_now,
            policy=policy or self.policy,
            senders=self.senders,
        )
        await broker.start()
        try:
            yield consumption
        finally:
            await broker.stop()

    @asynccontextmanager
    async def consuming_batches(
        self,
        on_batch: BatchHandler,
        *,
        start_offsets: StartOffsets | None = None,
        policy: ConsumePolicy | None = None,
    ) -> AsyncIterator[Consumption]:
        """A consumer of batches at work; stopped at the end of the block."""
        broker = build_broker(kafka=KafkaConnection(bootstrap=self.bootstrap), client_id="test")
        consumption = consume_batches(
            broker,
            self.topic,
            prefix=self.prefix,
            group=self.group,
            on_batch=on_batch,
            start_offsets=start_offsets,
            dead_letters=DeadLetters(self.producer),
            clock=utc_now,
            policy=policy or self.policy,
            senders=self.senders,
        )
        await broker.start()
        try:
            yield consumption
        finally:
            await broker.stop()

    async def records(self, topic_name: str, *, count: int) -> list[ConsumerRecord]:
        """The first `count` records of a topic, all partitions; fails when there are fewer."""
        async with AIOKafkaConsumer(
            topic_name, bootstrap_servers=self.bootstrap, auto_offset_reset="earliest"
        ) as consumer:
            async with asyncio.timeout(DEADLINE_S):
                return [await consumer.getone() for _ in range(count)]

    async def dead_letters(self, *, count: int) -> list[ConsumerRecord]:
        """The first `count` dead letters; fails when there are fewer."""
        return await self.records(f"{self.topic_name}.dead-letter", count=count)

    async def dead_letter_count(self) -> int:
        """How many dead letters there are."""
        tp = TopicPartition(f"{self.topic_name}.dead-letter", 0)
        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as consumer:
            ends: Mapping[TopicPartition, int] = await consumer.end_offsets([tp])
            return ends[tp]

    async def committed(self) -> dict[int, int]:
        """The group's committed offset of each partition that has one."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            offsets: Mapping[TopicPartition, Any] = await admin.list_consumer_group_offsets(self.group)
            return {tp.partition: meta.offset for tp, meta in offsets.items() if tp.topic == self.topic_name}
        finally:
            await admin.close()

    async def eventually_committed(self, offset: int, *, partition: int = 0) -> None:
        """Wait until the group has committed this offset."""
        deadline = time.monotonic() + DEADLINE_S
        while (committed := (await self.committed()).get(partition)) != offset:
            assert time.monotonic() < deadline, f"{committed} is committed, not {offset}"
            await asyncio.sleep(0.05)


def an_envelope(event_type: str, *, subject: str) -> Envelope:
    """An envelope for an event of that type."""
    return Envelope(id=new_uuid7(), source="/test", type=event_type, subject=subject, occurred_at=utc_now())


def text_headers(record: ConsumerRecord) -> dict[str, str]:
    """The dead-letter headers as text, without the prefix."""
    return {
        name.removeprefix("dead_letter_"): (value or b"").decode()
        for name, value in record.headers
        if name.startswith("dead_letter_")
    }


@asynccontextmanager
async def open_corner(
    *, bootstrap: str, prefix: str, partitions: int = 1, kind: Kind = Kind.INGEST
) -> AsyncIterator[Corner]:
    """Create a topic with its dead letters and a producer for it."""
    topic = replace(ENTITY_CHANGES, partitions=partitions, kind=kind)
    parked = replace(topic, name=topic.dead_letter_name, kind=Kind.PARKED, partitions=1)
    await ensure_topics(kafka=KafkaConnection(bootstrap=bootstrap), prefix=prefix, topics=[topic, parked])
    producer = build_producer(kafka=KafkaConnection(bootstrap=bootstrap), client_id="test", linger_ms=0)
    await producer.start()
    try:
        senders = EVERYBODY if kind is Kind.INGEST else None
        yield Corner(bootstrap=bootstrap, prefix=prefix, topic=topic, producer=producer, senders=senders)
    finally:
        await producer.stop()


class OpenCorner(Protocol):
    """Opens a topic for the test."""

    def __call__(self, *, partitions: int = 1, kind: Kind = Kind.INGEST) -> Awaitable[Corner]: ...
