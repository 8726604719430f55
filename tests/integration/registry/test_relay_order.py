"""The relay against real servers: everything arrives, in order, with the index that an auditor expects."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from modelyard_events.topics import AUDIT_LOG, MODEL_VERSIONS
from modelyard_stack import Stack

from tests.integration.registry.relay_world import (
    CONTEXT,
    RelayWorld,
    append_fact,
    end_sessions,
    open_relay_world,
    sequences_of,
    until,
    without_repeats,
)

pytestmark = pytest.mark.integration

RELAY_SESSION = "modelyard-relay"


@pytest.fixture
async def world(stack: Stack, postgres_database: str, topic_prefix: str) -> AsyncIterator[RelayWorld]:
    async with open_relay_world(
        dsn=postgres_database, bootstrap=stack.addresses.kafka_bootstrap, prefix=topic_prefix
    ) as opened:
        yield opened


async def test_every_fact_arrives_once_and_in_order_with_its_envelope(world: RelayWorld) -> None:
    keys = [f"bank/model-{number}" for number in range(7)]
    for first in (1, 11, 21):
        for key in keys:
            await world.commit_facts(key=key, first=first, count=10)

    async with world.running(world.relay()):
        await world.drained()

    facts = await world.read(MODEL_VERSIONS)
    for key in keys:
        assert sequences_of(facts, key) == list(range(1, 31))
    first_fact = facts[0]
    assert first_fact.source == "/modelyard/registry"
    assert first_fact.type == "registered_model.created.v1"
    assert (first_fact.actor, first_fact.correlation_id, first_fact.generation) == ("ada", "story-1", 1)


async def test_audit_entries_get_a_gapless_index_and_are_marked_published(world: RelayWorld) -> None:
    await world.commit_facts(key="bank/a", first=1, count=40)

    async with world.running(world.relay()):
        await world.drained()

    entries = await world.read(AUDIT_LOG)
    assert [each.sequence for each in entries] == list(range(1, 41))
    unpublished = await world.fetch_value("SELECT count(*) FROM audit_entries WHERE published_at IS NULL")
    assert unpublished == 0


async def test_a_late_committer_with_a_low_row_id_is_not_missed(world: RelayWorld) -> None:
    async with world.running(world.relay()):
        async with world.unit_of_work()(CONTEXT) as slow:
            await append_fact(slow, key="bank/slow", sequence=1)
            await slow.write_audit_and_outbox()
            await world.commit_facts(key="bank/quick", first=1)
            await until(lambda: _has(world, key="bank/quick"))
        await world.drained()

    assert sequences_of(await world.read(MODEL_VERSIONS), "bank/slow") == [1]


async def test_nothing_is_lost_or_reordered_when_the_leader_loses_its_session_again_and_again(
    world: RelayWorld,
) -> None:
    chance, ended = random.Random(7), 0
    async with world.running(world.relay()), world.running(world.relay()):
        for first in range(1, 201, 10):
            await world.commit_facts(key="bank/a", first=first, count=10)
            await world.commit_facts(key="bank/b", first=first, count=10)
            if chance.random() < 0.4:
                ended += await end_sessions(world.dsn, application=RELAY_SESSION)
        await world.drained()

    assert ended > 0
    facts, entries = await world.read(MODEL_VERSIONS), await world.read(AUDIT_LOG)
    for key in ("bank/a", "bank/b"):
        assert without_repeats(sequences_of(facts, key)) == list(range(1, 201))
    assert without_repeats([each.sequence or 0 for each in entries]) == list(range(1, 401))
    # An index, once given, is that entry's for ever: a repeat names the same fact.
    index_of: dict[str, int | None] = {}
    assert all(index_of.setdefault(each.id, each.sequence) == each.sequence for each in entries)


async def test_of_two_relays_one_leads_and_the_other_stands_by(world: RelayWorld) -> None:
    first, second = world.relay(), world.relay()
    async with world.running(first), world.running(second):
        await world.commit_facts(key="bank/a", first=1, count=100)
        await world.drained()

        async def are_settled() -> bool:
            return {first.check().detail, second.check().detail} == {"leader", "standby"}

        await until(are_settled)

    assert sequences_of(await world.read(MODEL_VERSIONS), "bank/a") == list(range(1, 101))


async def test_a_commit_in_this_process_wakes_the_relay_at_once(world: RelayWorld) -> None:
    relay = world.relay()
    async with world.running(relay):
        await world.commit_facts(key="bank/a", first=1)
        await world.drained()
        await asyncio.sleep(1.0)  # Let the poll fall back to its idle pace.
        started = asyncio.get_running_loop().time()
        await world.commit_facts(key="bank/a", first=2, wake=relay.wake)
        await world.drained()
        took_s = asyncio.get_running_loop().time() - started

    assert took_s < 5.0


async def _has(world: RelayWorld, *, key: str) -> bool:
    return bool(sequences_of(await world.read(MODEL_VERSIONS), key))
