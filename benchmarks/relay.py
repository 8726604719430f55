"""The outbox relay: events per second out of a full outbox, and commit → broker against a bare acknowledged send."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from uuid import uuid4

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from modelyard_events.registry import ModelVersionTransitioned
from modelyard_events.topics import MODEL_VERSIONS
from modelyard_events.values import Stage
from modelyard_registry.outbox.relay import Relay, RelaySettings
from modelyard_registry.transactions import RequestContext, UnitOfWork
from modelyard_registry.transactions.database import Database
from modelyard_runtime.clock import utc_now
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.lifecycle import beside

from benchmarks.growth import growth_per_second, records_in
from benchmarks.report import Line, at_least, at_most, progress, quantile
from benchmarks.running import HOP_TOPIC, Running, bare_hop, running, wait_until

FACTS = 50_000
KEYS = 1_000
DRAIN_TIMEOUT_S = 90.0
EVENTS_PER_SECOND = 10_000
COMMITS = 300
ARRIVAL_TIMEOUT_S = 10.0
CONTEXT = RequestContext(actor="benchmark", request_id="benchmark", correlation_id=None, causation_id=None)
COLUMNS = ("topic", "key", "event_id", "type", "sequence", "occurred_at", "actor", "correlation_id", "payload")


def measure() -> list[Line]:
    """First the drain, then single events and bare sends taken in turns."""
    return uvloop.run(_measure())


async def _measure() -> list[Line]:
    async with running(("registry",)) as up:
        await up.system.service("registry").server.stop()
        per_second = await _drain(up)
        await up.system.service("registry").server.stop()
        relay_ms, send_ms = await _single_events(up)
    return [_drain_line(per_second), *_latency_lines(relay_ms, send_ms)]


async def _drain(up: Running) -> float:
    """Events per second of a relay that finds the outbox full."""
    progress(f"relay: {FACTS:,} facts wait in the outbox")
    connection = await asyncpg.connect(up.stack.addresses.postgres_dsn)
    try:
        await connection.copy_records_to_table("outbox", records=_rows(), columns=COLUMNS)
    finally:
        await connection.close()
    bootstrap = up.stack.addresses.kafka_bootstrap
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        before = await records_in(consumer, MODEL_VERSIONS)
    async with asyncio.TaskGroup() as group:
        group.create_task(up.system.service("registry").server.start())
        growing = group.create_task(
            growth_per_second(bootstrap, MODEL_VERSIONS, before=before, count=FACTS, timeout_s=DRAIN_TIMEOUT_S)
        )
    return growing.result()


async def _single_events(up: Running) -> tuple[list[float], list[float]]:
    """Milliseconds from a commit until a consumer has the event, and of a bare send until it is acknowledged.

    The relay runs in this process, for only here the moment of the commit is known. Its time contains the
    delivery to a consumer, which the bare send's does not.
    """
    progress(f"relay: {COMMITS} single events")
    bootstrap, dsn = up.stack.addresses.kafka_bootstrap, up.stack.addresses.postgres_dsn
    settings = RelaySettings(postgres_dsn=dsn, kafka=KafkaConnection(bootstrap=bootstrap), topic_prefix="")
    relay = Relay(settings, clock=utc_now, new_id=new_uuid7)
    async with AsyncExitStack() as opened:
        database = await opened.enter_async_context(Database(dsn))
        await opened.enter_async_context(beside("relay", relay.run()))
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
        await opened.enter_async_context(producer)
        await opened.enter_async_context(bare_hop(bootstrap))
        consumer = await opened.enter_async_context(AIOKafkaConsumer(bootstrap_servers=bootstrap))
        consumer.assign([TopicPartition(MODEL_VERSIONS.name, number) for number in range(MODEL_VERSIONS.partitions)])
        await consumer.seek_to_end()
        unit_of_work = UnitOfWork(database, clock=utc_now, new_id=new_uuid7, wake=relay.wake)
        await wait_until(lambda: _leads(relay), within_s=ARRIVAL_TIMEOUT_S)
        relay_ms, send_ms = [], []
        for number in range(-1, COMMITS):
            relayed = await _relay_one(unit_of_work, consumer, number=number + FACTS)
            sent = await _send_one(producer)
            if number >= 0:  # The first one waits for the relay's producer to start.
                relay_ms.append(relayed)
                send_ms.append(sent)
    return relay_ms, send_ms


async def _leads(relay: Relay) -> bool:
    return relay.check().detail.startswith("leader")


async def _relay_one(unit_of_work: UnitOfWork, consumer: AIOKafkaConsumer, *, number: int) -> float:
    async with unit_of_work(CONTEXT) as tx:
        await tx.append_fact(MODEL_VERSIONS, _fact(number), key=_key(number), sequence=number)
    committed_at = time.perf_counter()
    async with asyncio.timeout(ARRIVAL_TIMEOUT_S):
        await consumer.getone()
    return (time.perf_counter() - committed_at) * 1_000


async def _send_one(producer: AIOKafkaProducer) -> float:
    started_at = time.perf_counter()
    await producer.send_and_wait(HOP_TOPIC, b"hop", key=b"hop")
    return (time.perf_counter() - started_at) * 1_000


def _rows() -> Iterator[tuple[object, ...]]:
    now = utc_now()
    for number in range(FACTS):
        payload = _fact(number).model_dump_json()
        identity = str(uuid4())
        yield (
            *(MODEL_VERSIONS.name, _key(number), identity, ModelVersionTransitioned.type, number // KEYS + 1),
            *(now, "benchmark", identity, payload),
        )


def _fact(number: int) -> ModelVersionTransitioned:
    return ModelVersionTransitioned(
        project="default",
        model=f"model-{number % KEYS}",
        number=number // KEYS + 1,
        from_stage=Stage.STAGING,
        to_stage=Stage.CANARY,
        revision=2,
        reason="what a person writes as the reason of a transition",
    )


def _key(number: int) -> str:
    return f"default/model-{number % KEYS}"


def _drain_line(per_second: float) -> Line:
    ratio, must, reached = at_least(per_second / EVENTS_PER_SECOND, 1)
    return Line(
        claim=f"outbox drained, {FACTS:,} facts of {KEYS:,} keys",
        ours=f"{per_second:,.0f}/s",
        reference=f"{EVENTS_PER_SECOND:,}/s",
        ratio=ratio,
        must=must,
        reached=reached,
    )


def _latency_lines(relay_ms: list[float], send_ms: list[float]) -> Iterator[Line]:
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        ours, bare = quantile(relay_ms, share), quantile(send_ms, share)
        ratio, must, reached = at_most(ours / bare, 4)
        yield Line(
            claim=f"commit → a consumer has the event, {name} of {COMMITS}",
            ours=f"{ours:.2f} ms",
            reference=f"bare acknowledged send {bare:.2f} ms",
            ratio=ratio,
            must=must,
            reached=reached,
        )
