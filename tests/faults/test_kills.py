"""kill -9 of each process in turn, in the middle of everybody's work: nothing that was promised is lost."""

import asyncio
import time

import pytest

from tests.faults.aftermath import Aftermath
from tests.faults.traffic import Traffic
from tests.world.world import World

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(300)]

ROUTER_QUEUE_MAX = 10_000


@pytest.mark.parametrize(
    ("name", "inferences_lost_max"),
    [
        ("registry", 0),
        ("shadow_worker", 0),
        ("cache_invalidator", 0),
        ("kafka", 0),
        ("postgres", 0),
        ("valkey", 0),
        # A killed router takes its queue along, and nothing else.
        ("router", ROUTER_QUEUE_MAX),
    ],
)
async def test_a_kill_loses_nothing(
    fragile_world: World, traffic: Traffic, name: str, inferences_lost_max: int
) -> None:
    """Only the killed process is started again; the others must find their way back by themselves."""
    victim = fragile_world.server(name)

    async with traffic.flowing():
        await traffic.go_on()
        await victim.kill()
        if name != "router":
            await traffic.predict_on()
        await victim.start()
        restarted_s = time.monotonic()
        await traffic.go_on()

    await Aftermath(traffic=traffic, inferences_lost_max=inferences_lost_max).check()
    assert name == "router" or not traffic.setbacks, "only the router's death is felt by those who predict"
    print(f"settled {time.monotonic() - restarted_s:.1f} s after the restart; {traffic}")


async def test_a_kill_of_all_loses_nothing(fragile_world: World, traffic: Traffic) -> None:
    """All of them but Kafka at once, in the order that the dice say; the services then start side by side."""
    services = ["registry", "router", "cache_invalidator", "shadow_worker"]
    victims = [*services, "postgres", "valkey"]
    traffic.chance.shuffle(victims)
    print(f"killed in this order: {victims}")

    async with traffic.flowing():
        await traffic.go_on()
        for name in victims:
            await fragile_world.server(name).kill()
        for name in ("postgres", "valkey"):
            await fragile_world.server(name).start()
        async with asyncio.TaskGroup() as group:
            for name in services:
                group.create_task(fragile_world.server(name).start())
        await traffic.go_on()

    await Aftermath(traffic=traffic, inferences_lost_max=ROUTER_QUEUE_MAX).check()
