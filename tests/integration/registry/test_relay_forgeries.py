"""Nobody but the registry says the last word on a state topic, and the registry notices who tries."""

from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from modelyard_events.codec import Record, encode
from modelyard_events.envelope import Envelope
from modelyard_events.routes import RouteChanged
from modelyard_events.topics import ROUTES
from modelyard_registry.outbox.relay import Relay
from modelyard_runtime.clock import utc_now
from modelyard_runtime.state.keys import StateKeys
from modelyard_stack import Stack

from tests.integration.registry.relay_world import PROJECT, RelayWorld, open_relay_world, until
from tests.world.state_signing import REGISTRY, STATE_KEYS
from tests.world.topics import Topics

pytestmark = pytest.mark.integration

KEY = f"{PROJECT}/risk"
TRUSTED = StateKeys(STATE_KEYS)


@pytest.fixture
async def world(stack: Stack, postgres_database: str, topic_prefix: str) -> AsyncIterator[RelayWorld]:
    async with open_relay_world(
        dsn=postgres_database, bootstrap=stack.addresses.kafka_bootstrap, prefix=topic_prefix
    ) as opened:
        yield replace(opened, signer=REGISTRY)


async def test_every_document_is_signed_whether_it_is_new_or_said_again(world: RelayWorld) -> None:
    async with world.running(world.relay()):
        await world.commit_route("risk", sequence=1)
        await world.drained()
    async with world.running(world.relay()):
        await until(lambda: _count_is(world, 2))

    assert [TRUSTED.why_refused(_plain(each)) for each in await _records(world)] == [None, None]


async def test_a_forged_document_far_ahead_is_followed_by_the_real_one(world: RelayWorld) -> None:
    relay = world.relay()
    async with world.running(relay):
        await world.commit_route("risk", sequence=1)
        await world.drained()
        await _write(world, _a_route(sequence=1_001))
        await until(lambda: _ends_with(world, sequence=1))

        await world.commit_route("risk", sequence=2)
        await until(lambda: _ends_with(world, sequence=2))
        check = relay.check()

    assert check.ok
    assert check.degraded
    assert "without the registry's signature" in check.detail


async def test_what_was_forged_while_no_registry_ran_does_not_outlive_its_start(world: RelayWorld) -> None:
    async with world.running(world.relay()):
        await world.commit_route("risk", sequence=1)
        await world.drained()
    await _write(world, _a_route(sequence=1_001))
    await _write(world, _a_route(model_type="nobodys", sequence=1))

    async with world.running(world.relay()):
        await until(lambda: _ends_with(world, sequence=1))
        await until(lambda: _is_deleted(world, f"{PROJECT}/nobodys"))


async def test_a_deletion_by_somebody_else_is_followed_by_the_document(world: RelayWorld) -> None:
    async with world.running(world.relay()):
        await world.commit_route("risk", sequence=1)
        await world.drained()
        await _write(world, Record(key=KEY.encode(), value=None, headers=()))

        await until(lambda: _count_is(world, 3))

    *_, deleted, said_again = await _records(world)
    assert deleted.value is None
    assert _order(said_again) == (1, 1)


async def test_a_key_that_the_registry_never_had_is_deleted_from_the_topic(world: RelayWorld) -> None:
    async with world.running(world.relay()):
        await world.commit_route("risk", sequence=1)
        await world.drained()
        await _write(world, _a_route(model_type="nobodys", sequence=1))

        await until(lambda: _is_deleted(world, f"{PROJECT}/nobodys"))


async def test_a_restored_database_whose_history_looks_the_same_outranks_the_log_all_the_same(
    world: RelayWorld,
) -> None:
    async with world.running(world.relay()):
        await world.commit_route("risk", sequence=7)
        await world.drained()
    await _restore_files(world, sequence=3)

    relay = world.relay()
    async with world.running(relay):
        await until(lambda: _ends_with(world, sequence=3, generation=2))
        assert not relay.check().degraded, "the registry has the last word again"


async def test_a_signed_document_of_a_key_that_the_database_lost_is_told(world: RelayWorld) -> None:
    async with world.running(world.relay()):
        await world.commit_route("risk", sequence=1)
        await world.commit_route("lost", sequence=1)
        await world.drained()
    connection = await asyncpg.connect(world.dsn)
    try:
        await connection.execute("DELETE FROM routes WHERE model_type = 'lost'")
    finally:
        await connection.close()

    relay = world.relay()
    async with world.running(relay):
        await until(lambda: _is_degraded(relay))

    assert "newer documents of 1 keys than the database ever had" in relay.check().detail


async def test_another_registry_with_the_same_key_is_told_and_not_fought_over(world: RelayWorld) -> None:
    relay = world.relay()
    async with world.running(relay):
        await world.commit_route("risk", sequence=1)
        await until(lambda: _count_is(world, 1))
        await until(lambda: _is_ready_for_rows(world, relay))
        await _write(world, REGISTRY.sign(_a_route(sequence=9)))
        await until(lambda: _is_degraded(relay))
        await world.commit_route("risk", sequence=2)
        await world.drained()

    assert [_order(each) for each in await _records(world) if each.key == KEY.encode()][-2:] == [(1, 9), (1, 2)]


async def _is_degraded(relay: Relay) -> bool:
    return relay.check().degraded


async def _is_ready_for_rows(world: RelayWorld, relay: Relay) -> bool:
    """The leader has read the log to its end: shown by its repair of a forged record."""
    await _write(world, _a_route(model_type="nobodys", sequence=1))
    return await _is_deleted(world, f"{PROJECT}/nobodys")


async def _records(world: RelayWorld) -> list[ConsumerRecord]:
    return await Topics(bootstrap=world.bootstrap, prefix=world.prefix).records(ROUTES)


async def _count_is(world: RelayWorld, count: int) -> bool:
    return len(await _records(world)) == count


async def _ends_with(world: RelayWorld, *, sequence: int, generation: int = 1) -> bool:
    """Whether the last record of the route is the registry's, and this one."""
    last = [each for each in await _records(world) if each.key == KEY.encode()][-1]
    return TRUSTED.why_refused(_plain(last)) is None and _order(last) == (generation, sequence)


async def _is_deleted(world: RelayWorld, key: str) -> bool:
    last = [each for each in await _records(world) if each.key == key.encode()][-1]
    return last.value is None and TRUSTED.why_refused(_plain(last)) is None


def _plain(record: ConsumerRecord) -> Record:
    return Record(key=record.key, value=record.value, headers=tuple(record.headers))


def _order(record: ConsumerRecord) -> tuple[int, int]:
    headers = dict(record.headers)
    return int(headers["ce_generation"] or b"0"), int(headers["ce_sequence"] or b"0")


def _a_route(*, sequence: int, model_type: str = "risk") -> Record:
    """A routing document that nobody has signed."""
    envelope = Envelope(
        id=f"forged-{sequence}",
        source="/modelyard/registry",
        type=RouteChanged.type,
        subject=f"{PROJECT}/{model_type}",
        occurred_at=utc_now(),
        sequence=sequence,
        generation=1,
    )
    return encode(RouteChanged(project=PROJECT, model_type=model_type, revision=sequence), envelope)


async def _write(world: RelayWorld, record: Record) -> None:
    async with AIOKafkaProducer(bootstrap_servers=world.bootstrap) as producer:
        await producer.send_and_wait(
            f"{world.prefix}{ROUTES.name}", key=record.key, value=record.value, headers=list(record.headers)
        )


async def _restore_files(world: RelayWorld, *, sequence: int) -> None:
    """What a copy of the disk leaves: older rows, and neither another cluster nor another timeline."""
    connection = await asyncpg.connect(world.dsn)
    try:
        await connection.execute("UPDATE routes SET sequence = $1", sequence)
    finally:
        await connection.close()
