"""A neighbour that stands still, or forgets: callers are answered all the while, and nothing is lost."""

import pytest
from redis.asyncio import Redis

from tests.faults.aftermath import Aftermath
from tests.faults.traffic import Traffic
from tests.world.world import World

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", ["kafka", "postgres", "valkey", "registry"])
async def test_a_freeze_holds_up_no_prediction_and_loses_nothing(
    fragile_world: World, traffic: Traffic, name: str
) -> None:
    """SIGSTOP is worse than a kill: connections stay open, and nobody answers."""
    frozen = fragile_world.server(name)

    async with traffic.flowing():
        await traffic.go_on()
        await frozen.pause()
        try:
            await traffic.predict_on(predictions=200)
        finally:
            await frozen.resume()
        await traffic.go_on()

    await Aftermath(traffic=traffic).check()
    assert not traffic.setbacks
    print(traffic)


async def test_a_cache_that_forgets_everything_makes_no_answer_stale(fragile_world: World, traffic: Traffic) -> None:
    async with Redis.from_url(fragile_world.stack.addresses.redis_url) as redis, traffic.flowing():
        await traffic.go_on()
        for _ in range(5):
            await redis.flushall()
            await traffic.predict_on(predictions=40)

    await Aftermath(traffic=traffic).check()
    assert not traffic.setbacks
