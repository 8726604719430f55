"""One system on servers of its own, which may be killed, for all tests that put it under traffic."""

import os
import random
from collections.abc import AsyncIterator

import pytest
from modelyard_stack import Stack

from tests.faults.traffic import Traffic
from tests.world.world import World, open_world

SEED_VARIABLE = "MODELYARD_TEST_SEED"


@pytest.fixture(scope="session")
async def fragile_world() -> AsyncIterator[World]:
    """The system. A test leaves every process of it running."""
    async with Stack.start() as stack, open_world(stack) as opened:
        yield opened


@pytest.fixture
async def traffic(fragile_world: World) -> Traffic:
    """Clients at the ready; their dice are thrown from a seed that is printed, and can be given."""
    for name in fragile_world.system.services:
        if not (await fragile_world.system.keeper.status(name)).running:
            pytest.fail(f"an earlier test left {name} dead; its own failure says why", pytrace=False)
    seed = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(2**32))
    print(f"{SEED_VARIABLE}={seed}")
    return await Traffic.prepare(fragile_world, seed=seed)
