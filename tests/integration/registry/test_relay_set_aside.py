"""A record that the broker refuses holds up its own key and nothing else, until a person releases it."""

from collections.abc import AsyncIterator, Awaitable

import pytest
from modelyard_events.topics import AUDIT_LOG, MODEL_VERSIONS, ROUTES, Topic
from modelyard_registry.outbox import metrics
from modelyard_registry.outbox.relay import Relay
from modelyard_registry.outbox.set_aside import list_set_aside, release
from modelyard_registry.transactions.audit_actions import AuditAction
from modelyard_stack import Stack

from tests.integration.registry.relay_world import (
    CONTEXT,
    PROJECT,
    RelayWorld,
    append_fact,
    open_relay_world,
    sequences_of,
    until,
)
from tests.topic_limits import take_at_most

pytestmark = pytest.mark.integration

SMALL_BYTES = 1_600


@pytest.fixture
async def world(stack: Stack, postgres_database: str, topic_prefix: str) -> AsyncIterator[RelayWorld]:
    async with open_relay_world(
        dsn=postgres_database, bootstrap=stack.addresses.kafka_bootstrap, prefix=topic_prefix
    ) as opened:
        yield opened


async def bound(world: RelayWorld, topic: Topic, *, bytes_max: int) -> None:
    """Make the broker refuse larger batches on a topic."""
    await take_at_most(bytes_max, bootstrap=world.bootstrap, topic_name=f"{world.prefix}{topic.name}")


async def record(world: RelayWorld, project: str, *, number: int, size: int = 10) -> None:
    """An audit entry of a project, of about `size` bytes."""
    async with world.unit_of_work()(CONTEXT) as tx:
        await tx.record_audit(
            project=project, action=AuditAction.POLICY_CHANGED, subject=f"x/{number}", reason="r" * size
        )


async def set_aside_count(world: RelayWorld) -> int:
    return int(await world.fetch_value("SELECT count(*) FROM outbox WHERE set_aside_at IS NOT NULL"))


async def released(world: RelayWorld) -> list[int]:
    async with world.database.acquire() as connection:
        return await release(connection, None)


def alarm_of(relay: Relay) -> str:
    check = relay.check()
    assert check.ok
    return check.detail if check.degraded else ""


async def logged(world: RelayWorld) -> list[tuple[int, str]]:
    """The index and the project of each entry of the audit log, in the log's order."""
    return [(each.sequence or 0, each.subject) for each in await world.read(AUDIT_LOG)]


async def test_a_fact_that_the_broker_refuses_holds_up_its_key_alone_until_it_is_released(
    world: RelayWorld,
) -> None:
    await bound(world, MODEL_VERSIONS, bytes_max=SMALL_BYTES)
    async with world.unit_of_work()(CONTEXT) as tx:
        for sequence in range(1, 4):
            await append_fact(tx, key="bank/before", sequence=sequence)
        await append_fact(tx, key=f"bank/{'x' * 99}", sequence=1)
    await world.fetch_value("UPDATE outbox SET actor = repeat('a', 1590) WHERE key LIKE 'bank/xx%' RETURNING 1")
    async with world.unit_of_work()(CONTEXT) as tx:
        await append_fact(tx, key=f"bank/{'x' * 99}", sequence=2)
        for sequence in range(1, 4):
            await append_fact(tx, key="bank/after", sequence=sequence)

    async with world.running(world.relay()) as relay:

        async def others_are_there() -> bool:
            found = await world.read(MODEL_VERSIONS)
            return sequences_of(found, "bank/after") == [1, 2, 3] and sequences_of(found, "bank/before") == [1, 2, 3]

        await until(others_are_there)
        await until(lambda: _is(set_aside_count(world), 1))
        async with world.database.acquire() as connection:
            (row,) = await list_set_aside(connection)
        assert (row.topic, row.rows_behind, "MessageSizeTooLarge" in row.reason) == (MODEL_VERSIONS.name, 1, True)
        await until(lambda: _holds("1 row that the broker refuses is set aside" in alarm_of(relay)))
        assert metrics.RELAY_SET_ASIDE_ROWS._value.get() == 1
        assert sequences_of(await world.read(MODEL_VERSIONS), f"bank/{'x' * 99}") == []

        await bound(world, MODEL_VERSIONS, bytes_max=1_048_588)
        assert await released(world) == [row.id]
        await world.drained()
        await until(lambda: _holds(not alarm_of(relay)))

    assert sequences_of(await world.read(MODEL_VERSIONS), f"bank/{'x' * 99}") == [1, 2]


async def test_an_audit_entry_that_the_broker_refuses_leaves_no_gap_and_holds_up_its_project_alone(
    world: RelayWorld,
) -> None:
    await bound(world, AUDIT_LOG, bytes_max=SMALL_BYTES)
    await record(world, "shop", number=1)
    await record(world, PROJECT, number=1)
    await record(world, PROJECT, number=2, size=4_000)
    await record(world, PROJECT, number=3)
    await record(world, "shop", number=2)

    async with world.running(world.relay()) as relay:
        expected = [(1, "shop"), (2, PROJECT), (3, "shop")]
        await until(lambda: _is(logged(world), expected))
        await record(world, "shop", number=3)
        await until(lambda: _is(logged(world), [*expected, (4, "shop")]))
        await until(lambda: _holds("audit-log.v1 under bank, where 1 wait" in alarm_of(relay)))

    # Another leader, as after a restart, sees the same.
    async with world.running(world.relay()) as relay:
        await record(world, "shop", number=4)
        await until(lambda: _is(logged(world), [*expected, (4, "shop"), (5, "shop")]))
        await bound(world, AUDIT_LOG, bytes_max=1_048_588)
        await released(world)
        await world.drained()

    found = await logged(world)
    assert [index for index, _ in found] == list(range(1, 8))
    assert found[5:] == [(6, PROJECT), (7, PROJECT)]
    indexes = await world.fetch_value("SELECT array_agg(log_index ORDER BY log_index) FROM audit_entries")
    assert indexes == list(range(1, 8))


async def test_a_document_that_the_broker_refuses_does_not_hold_up_a_newer_one(world: RelayWorld) -> None:
    await bound(world, ROUTES, bytes_max=SMALL_BYTES)
    await world.commit_route("risk", sequence=1)
    await world.fetch_value("UPDATE outbox SET actor = repeat('a', 1590) RETURNING 1")

    async with world.running(world.relay()):
        await until(lambda: _is(set_aside_count(world), 1))
        await world.commit_route("risk", sequence=2)
        await until(lambda: _ends_with(world, 2))


async def test_a_broker_that_refuses_for_ever_does_not_make_the_relay_say_all_documents_again(
    world: RelayWorld,
) -> None:
    await world.commit_route("risk", sequence=1)
    async with world.running(world.relay()):
        await world.drained()
    before = len(await world.read(ROUTES))
    await bound(world, AUDIT_LOG, bytes_max=SMALL_BYTES)
    for number in range(5):
        await record(world, f"project-{number}", number=1, size=4_000)
    await record(world, "shop", number=1)

    async with world.running(world.relay()):
        await until(lambda: _is(set_aside_count(world), 5))
        await until(lambda: _is(logged(world), [(1, "shop")]))

    assert len(await world.read(ROUTES)) == before + 1


async def _is(found: Awaitable[object], expected: object) -> bool:
    return bool(await found == expected)


async def _holds(claim: bool) -> bool:
    return claim


async def _ends_with(world: RelayWorld, sequence: int) -> bool:
    found = await world.read(ROUTES)
    return bool(found) and found[-1].sequence == sequence
