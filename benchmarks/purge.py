"""From an entity's change on Kafka until its predictions are gone, against a bare hop; and purges per second."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, cast

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from modelyard_events.codec import encode
from modelyard_events.entities import EntityChanged
from modelyard_events.envelope import Envelope
from modelyard_events.topics import CACHE_INVALIDATIONS, ENTITY_CHANGES
from modelyard_prediction_cache import Entity, PredictionCache, connect, random_nonce
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from benchmarks.growth import growth_per_second, records_in
from benchmarks.report import Line, against_hop, at_least, at_most, progress, quantile
from benchmarks.running import Running, bare_hop, running

CHANGES = 200
DIRECT_PURGES = 2_000
SMALL_CACHE = 10_000
LARGE_CACHE = 1_000_000
FILLS_AT_ONCE = 32
BALLAST_PER_CALL = 30_000
FLOOD = 50_000
FLOOD_TIMEOUT_S = 90.0
PURGES_PER_SECOND = 10_000
PURGED_TIMEOUT_S = 10.0
# The broker keeps everybody else from the topic: a worker that checked signatures would be measured by those.
OPEN = {"MODELYARD_INGEST_PROJECTS": json.dumps({ENTITY_CHANGES.name: "*"})}
TENANT, ENTITY_TYPE = "CA", "loan"
PREDICTION = "p:" + "0" * 32
# About what a prediction with the dozen features that it was made from takes.
VALUE = b"x" * 600
BALLAST = """
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
    redis.call('HSET', '{pc0}:ballast:' .. number, '#lease', 'abcdefghijklmnop', ARGV[3], ARGV[4])
end"""


def measure() -> list[Line]:
    """Milliseconds, changes and bare hops taken in turns, with a small and with a large cache; then a flood."""
    return uvloop.run(_measure())


async def _measure() -> list[Line]:
    async with (
        running(("cache_invalidator",), settings=OPEN) as up,
        bare_hop(up.stack.addresses.kafka_bootstrap) as hop,
    ):
        redis = connect(up.stack.addresses.redis_url, timeout_s=30)
        bootstrap = up.stack.addresses.kafka_bootstrap
        async with redis, AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as kafka:
            # A million entities take more than the development server keeps before it evicts.
            await redis.config_set("maxmemory", 0)
            loans = Loans(cache=PredictionCache(redis, new_nonce=random_nonce, timeout_s=30), producer=kafka)
            await loans.predict_all(SMALL_CACHE)
            progress(f"purge: {CHANGES} changes, {SMALL_CACHE:,} entities cached")
            purge_ms, hop_ms = [], []
            async with _deletions(redis) as deletions:
                for number in range(CHANGES):
                    hop_ms.append(await hop())
                    purge_ms.append(await _purge(loans, number, deletions=deletions))
            numbers = iter(range(CHANGES, SMALL_CACHE))
            small_ms = await _purge_directly(loans, numbers)
            await _add_ballast(redis, SMALL_CACHE, LARGE_CACHE)
            large_ms = await _purge_directly(loans, numbers)
            per_second = await _flood(up, loans)
    return [
        *against_hop("entity change on Kafka → purged", ours_ms=purge_ms, hop_ms=hop_ms, p50=2, p99=2),
        _size_line(quantile(large_ms, 0.5), quantile(small_ms, 0.5)),
        _flood_line(per_second),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loans:
    """Entities that change, and the cache that holds a prediction about each."""

    cache: PredictionCache
    producer: AIOKafkaProducer

    async def predict_all(self, count: int) -> None:
        """Cache a prediction for each of the first `count` loans, as the router does."""
        numbers = iter(range(count))

        async def predict_some() -> None:
            for number in numbers:
                await self.predict(number)

        await asyncio.gather(*(predict_some() for _ in range(FILLS_AT_ONCE)))

    async def predict(self, number: int) -> None:
        """Cache a prediction about a loan."""
        entity = _entity(number)
        lease = (await self.cache.read(entity, prediction=PREDICTION)).lease
        assert lease is not None
        is_kept = await self.cache.fill(entity, lease, prediction=PREDICTION, value=VALUE, reads_entity=False)
        assert is_kept

    async def is_cached(self, number: int) -> bool:
        """Whether there is a prediction about a loan."""
        return (await self.cache.read(_entity(number), prediction=PREDICTION)).prediction is not None

    async def change(self, number: int) -> "asyncio.Future[Any]":
        """Announce that a loan changed; the answer is done when the broker has acknowledged it."""
        change = EntityChanged(tenant=TENANT, entity_type=ENTITY_TYPE, entity_id=str(number), version=1)
        envelope = Envelope(
            id=str(uuid.uuid4()),
            source="/benchmark",
            type=change.type,
            subject=f"{TENANT}/{ENTITY_TYPE}/{number}",
            occurred_at=datetime.now(UTC),
        )
        record = encode(change, envelope)
        sending = await self.producer.send(
            ENTITY_CHANGES.name, key=record.key, value=record.value, headers=list(record.headers)
        )
        return cast("asyncio.Future[Any]", sending)


def _entity(number: int) -> Entity:
    return Entity(tenant=TENANT, entity_type=ENTITY_TYPE, entity_id=str(number))


@asynccontextmanager
async def _deletions(redis: Redis) -> AsyncIterator[PubSub]:
    """The cache's own news of deleted keys: asking again and again would take a core from what is measured."""
    await redis.config_set("notify-keyspace-events", "Eg")
    async with redis.pubsub(ignore_subscribe_messages=True) as deletions:
        await deletions.psubscribe("__keyevent@*__:del", "__keyevent@*__:unlink")
        yield deletions
    await redis.config_set("notify-keyspace-events", "")


async def _purge(loans: Loans, number: int, *, deletions: PubSub) -> float:
    """Milliseconds from before the send until the prediction is gone."""
    assert await loans.is_cached(number)
    started_at = time.perf_counter()
    acknowledged = await loans.change(number)
    async with asyncio.timeout(PURGED_TIMEOUT_S):
        while await deletions.get_message(timeout=PURGED_TIMEOUT_S) is None:
            continue  # The confirmation of the subscription.
    gone_at = time.perf_counter()
    assert not await loans.is_cached(number)
    await acknowledged
    return (gone_at - started_at) * 1_000


async def _purge_directly(loans: Loans, numbers: Iterator[int]) -> list[float]:
    """Milliseconds of purges of cached entities, without Kafka."""
    purge_ms = []
    for number in islice(numbers, DIRECT_PURGES):
        started_at = time.perf_counter()
        purged = await loans.cache.purge(_entity(number))
        purge_ms.append((time.perf_counter() - started_at) * 1_000)
        assert purged == 1
    return purge_ms


async def _add_ballast(redis: Redis, first: int, end: int) -> None:
    """Entries like those of other entities, written on the server: a million by the front door takes minutes."""
    for start in range(first, end, BALLAST_PER_CALL):
        last = min(start + BALLAST_PER_CALL, end) - 1
        await cast("Any", redis.eval(BALLAST, 0, str(start), str(last), PREDICTION, VALUE.decode()))


async def _flood(up: Running, loans: Loans) -> float:
    """Purges per second of a worker that finds the flood waiting. One in five of its entities is cached."""
    bootstrap = up.stack.addresses.kafka_bootstrap
    worker = up.system.service("cache_invalidator").server
    await worker.stop()
    progress(f"purge: {FLOOD:,} changes wait for a worker")
    acknowledged = [await loans.change(number) for number in range(FLOOD)]
    await asyncio.gather(*acknowledged)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        before = await records_in(consumer, CACHE_INVALIDATIONS)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.start())
        # A purge counts when the fact about it is acknowledged too.
        growing = group.create_task(
            growth_per_second(bootstrap, CACHE_INVALIDATIONS, before=before, count=FLOOD, timeout_s=FLOOD_TIMEOUT_S)
        )
    return growing.result()


def _size_line(large_ms: float, small_ms: float) -> Line:
    """The cache's part alone: on Kafka's part the size of the cache has no influence that could be diluted."""
    ratio, must, reached = at_most(large_ms / small_ms, 1.1)
    return Line(
        claim=f"one purge with {LARGE_CACHE:,} entities cached instead of {SMALL_CACHE:,}, p50",
        ours=f"{large_ms:.3f} ms",
        reference=f"{small_ms:.3f} ms",
        ratio=ratio,
        must=must,
        reached=reached,
    )


def _flood_line(per_second: float) -> Line:
    ratio, must, reached = at_least(per_second / PURGES_PER_SECOND, 1)
    return Line(
        claim=f"purges per second and worker, with their facts, {FLOOD:,} changes waiting",
        ours=f"{per_second:,.0f}/s",
        reference=f"{PURGES_PER_SECOND:,}/s",
        ratio=ratio,
        must=must,
        reached=reached,
    )
