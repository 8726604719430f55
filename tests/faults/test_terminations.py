"""SIGTERM of each service in the middle of everybody's work: it finishes what it has begun, and ends by itself."""

import signal
import time

import pytest

from tests.faults.aftermath import Aftermath
from tests.faults.traffic import Traffic
from tests.world.world import World

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(300)]

ENDED_WITHIN_S = 20.0
ORDERLY = (0, -signal.SIGTERM)


@pytest.mark.parametrize("name", ["registry", "router", "shadow_worker", "cache_invalidator"])
async def test_a_termination_loses_nothing(fragile_world: World, traffic: Traffic, name: str) -> None:
    """Unlike a killed one, a terminated router loses no fact either."""
    victim = fragile_world.system.service(name).server

    async with traffic.flowing():
        await traffic.go_on()
        began_s = time.monotonic()
        await victim.stop()
        took_s = time.monotonic() - began_s
        ended = await fragile_world.system.keeper.status(name)
        await victim.start()
        await traffic.go_on()

    assert ended.exit_code in ORDERLY
    assert took_s < ENDED_WITHIN_S
    await Aftermath(traffic=traffic).check()
    print(f"ended within {took_s:.1f} s; {traffic}")
