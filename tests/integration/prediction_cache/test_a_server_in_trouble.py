"""What a real server does to the cache: forgets scripts, evicts, stalls, dies. Never stale, never a long wait."""

import time
from collections.abc import AsyncIterator

import pytest
from modelyard_prediction_cache import (
    CacheUnavailableError,
    Entity,
    PredictionCache,
    Purge,
    connect,
    random_nonce,
)
from redis.asyncio import Redis

from tests.stack_fixtures import OwnStack

pytestmark = pytest.mark.integration

LOAN = Entity(tenant="acme", entity_type="loan", entity_id="4711")
OTHER = Entity(tenant="acme", entity_type="loan", entity_id="4712")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = connect(redis_url, timeout_s=30.0)
    yield client
    await client.aclose()


def a_cache(redis: Redis, *, timeout_s: float = 30.0, prefix: str = "") -> PredictionCache:
    return PredictionCache(redis, new_nonce=random_nonce, timeout_s=timeout_s, prefix=prefix)


async def test_scripts_that_the_server_forgot_are_sent_again(redis: Redis) -> None:
    cache = a_cache(redis)
    await redis.script_flush()
    lease = (await cache.read(LOAN, prediction="p1")).lease
    assert lease is not None
    await redis.script_flush()
    stored = await cache.fill(LOAN, lease, prediction="p1", value=b"1")
    await redis.script_flush()

    counts = await cache.purge_all([Purge(entity=LOAN, version=1), Purge(entity=OTHER)])

    assert stored
    assert counts == [1, 0]


async def test_a_key_that_was_evicted_takes_its_leases_with_it(redis: Redis) -> None:
    cache = a_cache(redis)
    lost = (await cache.read(LOAN, prediction="p1")).lease
    assert lost is not None
    (key,) = await redis.keys()
    await redis.delete(key)
    await cache.read(LOAN, prediction="p1")

    assert not await cache.fill(LOAN, lost, prediction="p1", value=b"old")


async def test_values_stay_for_ever_and_what_has_none_does_not(redis: Redis) -> None:
    cache = a_cache(redis)
    lease = (await cache.read(LOAN, prediction="p1")).lease
    assert lease is not None
    await cache.fill(LOAN, lease, prediction="p1", value=b"1")
    await cache.read(OTHER, prediction="p1")

    lives = {key: await redis.pttl(key) for key in await redis.keys()}

    assert len(lives) == 2
    assert sum(life == -1 for life in lives.values()) == 1
    assert all(life == -1 or 0 < life <= 120_000 for life in lives.values())


async def test_caches_with_different_prefixes_share_nothing(redis: Redis) -> None:
    one, other = a_cache(redis, prefix="one:"), a_cache(redis, prefix="other:")
    lease = (await one.read(LOAN, prediction="p1")).lease
    assert lease is not None
    await one.fill(LOAN, lease, prediction="p1", value=b"1")

    assert await other.purge(LOAN) == 0
    assert (await one.read(LOAN, prediction="p1")).prediction == b"1"


async def test_a_purge_costs_the_same_however_much_is_cached(redis: Redis) -> None:
    cache = PredictionCache(redis, new_nonce=random_nonce, timeout_s=30.0, fields_max=20_000)
    lease = (await cache.read(LOAN, prediction="p0")).lease
    assert lease is not None
    for number in range(1_000):
        await cache.fill(LOAN, lease, prediction=f"p{number}", value=b"1", reads_entity=False)
    async with redis.pipeline(transaction=False) as pipeline:
        for number in range(50_000):
            pipeline.set(f"ballast-{number}", b"x")
        await pipeline.execute()
    await redis.config_resetstat()

    purged = await cache.purge(LOAN)

    called = {name.removeprefix("cmdstat_") for name in await redis.info("commandstats")}
    assert purged == 1_000
    # What walks over fields or keys has no part in it.
    assert called.isdisjoint({"keys", "scan", "hscan", "hgetall", "hkeys", "hvals", "hdel", "del"})
    assert "unlink" in called


async def test_a_server_that_stalls_costs_no_more_than_the_timeout(own_stack: OwnStack) -> None:
    stack = await own_stack()
    redis = connect(stack.addresses.redis_url, timeout_s=5.0)
    cache = a_cache(redis, timeout_s=0.05)
    await a_cache(redis).ping()
    await stack.valkey.pause()
    began_s = time.monotonic()

    with pytest.raises(CacheUnavailableError):
        await cache.read(LOAN, prediction="p1")

    took_s = time.monotonic() - began_s
    await stack.valkey.resume()
    assert took_s < 2.0
    # The connection whose answer nobody waited for must not hand that answer to the next one who asks.
    reading = await a_cache(redis).read(OTHER, prediction="p1", features="f1")
    assert (reading.prediction, reading.features) == (None, None)
    await redis.aclose()


async def test_a_server_that_was_killed_is_unavailable_and_empty_when_it_is_back(own_stack: OwnStack) -> None:
    stack = await own_stack()
    redis = connect(stack.addresses.redis_url, timeout_s=5.0)
    cache = a_cache(redis)
    lost = (await cache.read(LOAN, prediction="p1")).lease
    assert lost is not None
    await stack.valkey.kill()

    with pytest.raises(CacheUnavailableError):
        await cache.read(LOAN, prediction="p1")
    with pytest.raises(CacheUnavailableError):
        await cache.purge(LOAN)
    with pytest.raises(CacheUnavailableError):
        await cache.ping()

    await stack.valkey.start()
    assert not await cache.fill(LOAN, lost, prediction="p1", value=b"old")
    assert (await cache.read(LOAN, prediction="p1")).lease is not None
    await redis.aclose()
