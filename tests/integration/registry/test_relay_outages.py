"""The relay while Kafka or PostgreSQL die under it: what was committed arrives, in order."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from modelyard_events.topics import AUDIT_LOG, MODEL_VERSIONS
from modelyard_registry.transactions.database import DatabaseUnavailableError
from modelyard_stack import Stack

from tests.integration.registry.relay_world import (
    RelayWorld,
    open_relay_world,
    sequences_of,
    without_repeats,
)
from tests.stack_fixtures import OwnStack

pytestmark = [pytest.mark.integration, pytest.mark.faults]

KEYS = ("bank/a", "bank/b", "bank/c")


@pytest.fixture
async def broken_stack(own_stack: OwnStack) -> Stack:
    return await own_stack()


@pytest.fixture
async def world(broken_stack: Stack, topic_prefix: str) -> AsyncIterator[RelayWorld]:
    addresses = broken_stack.addresses
    async with open_relay_world(
        dsn=addresses.postgres_dsn, bootstrap=addresses.kafka_bootstrap, prefix=topic_prefix
    ) as opened:
        yield opened


async def test_commits_go_on_while_servers_die_and_everything_arrives_in_order(
    broken_stack: Stack, world: RelayWorld
) -> None:
    async with world.running(world.relay()):
        await _commit(world, first=1)
        writing = asyncio.create_task(_commit_many(world, start=2, stop=60))
        await broken_stack.kafka.kill()
        await writing  # The broker is away, and writes are accepted all the same.
        waiting = await world.outbox_count()
        await broken_stack.kafka.start()
        await world.drained()
        await broken_stack.postgres.kill()
        await broken_stack.postgres.start()
        await _commit_patiently(world, first=60)
        await world.drained()

    assert waiting > 0
    facts, entries = await world.read(MODEL_VERSIONS), await world.read(AUDIT_LOG)
    for key in KEYS:
        assert without_repeats(sequences_of(facts, key)) == list(range(1, 61))
    assert without_repeats([each.sequence or 0 for each in entries]) == list(range(1, 181))


async def _commit_many(world: RelayWorld, *, start: int, stop: int) -> None:
    for first in range(start, stop):
        await _commit(world, first=first)


async def _commit(world: RelayWorld, *, first: int) -> None:
    for key in KEYS:
        await world.commit_facts(key=key, first=first)


async def _commit_patiently(world: RelayWorld, *, first: int) -> None:
    """The pool needs a moment after the restart: its connections are those of the dead server."""
    for key in KEYS:
        for _ in range(50):
            try:
                await world.commit_facts(key=key, first=first)
                break
            except DatabaseUnavailableError:
                await asyncio.sleep(0.1)
