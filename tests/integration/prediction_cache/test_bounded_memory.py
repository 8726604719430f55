"""Callers choose the entities that are cached: however many they invent, memory stays within its bound."""

import pytest
from modelyard_prediction_cache import VALUE_BYTES_MAX, Entity, PredictionCache, random_nonce
from modelyard_stack import Stack
from redis.asyncio import Redis

pytestmark = pytest.mark.integration


async def test_predictions_about_invented_entities_stay_within_the_bound(stack: Stack, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        cache = PredictionCache(redis, new_nonce=random_nonce, timeout_s=30.0)
        bound = int((await redis.info("memory"))["maxmemory"])
        policy = (await redis.info("memory"))["maxmemory_policy"]
        for number in range(2_000):
            entity = Entity(tenant="acme", entity_type="loan", entity_id=f"invented-{number}")
            reading = await cache.read(entity, prediction="p")
            assert reading.lease is not None
            await cache.fill(entity, reading.lease, prediction="p", value=b"x" * VALUE_BYTES_MAX, reads_entity=False)
        used = int((await redis.info("memory"))["used_memory_dataset"])
        newest = await cache.read(entity, prediction="p")
        await redis.flushdb()

    assert bound > 0
    assert policy in ("allkeys-lru", b"allkeys-lru")
    assert used <= bound
    assert newest.prediction is not None


async def test_a_value_that_is_too_large_is_not_stored(stack: Stack, redis_url: str) -> None:
    entity = Entity(tenant="acme", entity_type="loan", entity_id="1")
    async with Redis.from_url(redis_url) as redis:
        cache = PredictionCache(redis, new_nonce=random_nonce, timeout_s=30.0)
        lease = (await cache.read(entity, prediction="p")).lease
        assert lease is not None
        stored = await cache.fill(entity, lease, prediction="p", value=b"x" * (VALUE_BYTES_MAX + 1), reads_entity=False)

    assert not stored


@pytest.mark.parametrize(
    ("cached_as", "changed_as"), [("Mu\u0308ller", "M\u00fcller"), ("M\u00fcller", "Mu\u0308ller")]
)
async def test_a_change_purges_an_entity_however_its_letters_are_written(
    stack: Stack, redis_url: str, cached_as: str, changed_as: str
) -> None:
    entity, changed = (Entity(tenant="acme", entity_type="loan", entity_id=each) for each in (cached_as, changed_as))
    async with Redis.from_url(redis_url) as redis:
        cache = PredictionCache(redis, new_nonce=random_nonce, timeout_s=30.0)
        lease = (await cache.read(entity, prediction="p")).lease
        assert lease is not None
        await cache.fill(entity, lease, prediction="p", value=b"x", reads_entity=False)
        purged = await cache.purge(changed)
        left = await cache.read(entity, prediction="p")

    assert purged == 1
    assert left.prediction is None
