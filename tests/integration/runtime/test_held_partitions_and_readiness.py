"""When to stand still rather than park everything, and when to call oneself ready."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from modelyard_events.topics import Kind
from modelyard_runtime.consume import Batch, ConsumePolicy, Delivery
from modelyard_runtime.consume.metrics import COMMITS, HELD
from modelyard_runtime.errors import PermanentError

from tests.integration.runtime.corner import Corner, OpenCorner, eventually, number_of

pytestmark = pytest.mark.integration

TOUCHY = ConsumePolicy(
    backoff_initial_s=0.01,
    commit_interval_s=0.05,
    dead_letters_in_a_row_max=5,
    dead_letters_window=10,
    hold_initial_s=3_600.0,
)
PATIENT = replace(TOUCHY, hold_initial_s=0.2, hold_max_s=0.4)


async def test_too_many_dead_letters_in_a_row_hold_the_partition_but_not_the_others(
    a_corner: OpenCorner,
) -> None:
    corner = await a_corner(partitions=2, kind=Kind.FACTS)
    seen: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        if delivery.position.partition == 0:
            raise PermanentError("all wrong", reason="all_wrong")
        seen.append(number_of(delivery.event))

    await corner.publish(*range(30), partition=0)
    async with corner.consuming(on_entity_changed, policy=TOUCHY) as consumption:
        await eventually(lambda: consumption.is_held)
        await corner.publish(*range(30), partition=1)
        await eventually(lambda: len(seen) == 30)
        await corner.eventually_committed(30, partition=1)
        await eventually(lambda: HELD.labels(corner.topic.name, corner.group)._value.get() == 1)
        said = consumption.check()
        lag = consumption.lag

    assert not said.ok
    assert said.degraded
    assert f"{corner.topic_name}-0" in said.detail
    assert lag == 25
    assert await corner.dead_letter_count() == 5
    assert (await corner.committed())[0] == 5


async def test_too_large_a_share_of_dead_letters_holds_the_partition(a_corner: OpenCorner) -> None:
    corner = await a_corner(kind=Kind.FACTS)

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        if number_of(delivery.event) % 3:
            raise PermanentError("wrong", reason="wrong")

    await corner.publish(*range(60))
    async with corner.consuming(on_entity_changed, policy=TOUCHY) as consumption:
        await eventually(lambda: consumption.is_held)

    assert await corner.dead_letter_count() == 7  # Two of three; the window of ten is full before the seventh.


async def test_a_flood_of_poison_does_not_all_go_to_the_dead_letters_of_a_batch_consumer(
    a_corner: OpenCorner,
) -> None:
    corner = await a_corner(kind=Kind.FACTS)

    async def on_batch(batch: Batch) -> None:
        pass

    for _ in range(30):
        await corner.send(b"not json")
    async with corner.consuming_batches(on_batch, policy=TOUCHY) as consumption:
        await eventually(lambda: consumption.is_held)

    assert await corner.dead_letter_count() == 5
    assert await corner.committed() == {0: 5}


@pytest.mark.parametrize("in_batches", [False, True])
async def test_a_held_partition_goes_on_by_itself_once_its_records_are_handled_again(
    a_corner: OpenCorner, in_batches: bool
) -> None:
    corner = await a_corner(kind=Kind.FACTS)
    is_mended = False
    seen: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        if not is_mended:
            raise PermanentError("our own defect", reason="defect")
        seen.append(number_of(delivery.event))

    async def on_batch(batch: Batch) -> None:
        for delivery in batch.deliveries:
            await on_entity_changed(delivery)

    await corner.publish(*range(30))
    opened = (
        corner.consuming_batches(on_batch, policy=PATIENT)
        if in_batches
        else corner.consuming(on_entity_changed, policy=PATIENT)
    )
    async with opened as consumption:
        await eventually(lambda: consumption.is_held)
        is_mended = True
        await eventually(lambda: seen[-1:] == [29])
        await eventually(lambda: consumption.check().ok and not consumption.check().degraded)

    parked = await corner.dead_letter_count()
    assert 5 <= parked < 30
    assert seen == list(range(parked, 30))


async def test_a_rebalance_does_not_release_a_held_partition(a_corner: OpenCorner) -> None:
    corner = await a_corner(partitions=2, kind=Kind.FACTS)

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        raise PermanentError("wrong", reason="wrong")

    await corner.publish(*range(30), partition=0)
    await corner.publish(*range(30), partition=1)
    async with corner.consuming(on_entity_changed, policy=TOUCHY) as consumption:
        await eventually(lambda: sum(part.is_held for part in consumption._partitions.values()) == 2)
        async with corner.consuming(on_entity_changed, policy=TOUCHY) as other:
            await eventually(lambda: other.is_held and consumption.is_held)
            await eventually(lambda: "held" in consumption.check().detail)
        await eventually(lambda: sum(part.is_held for part in consumption._partitions.values()) == 2)

    # Five of each partition by the first member, five more by the new one, who could not know.
    assert await corner.dead_letter_count() == 15


async def test_a_consumer_is_caught_up_once_what_was_there_at_its_assignment_is_done(
    a_corner: OpenCorner,
) -> None:
    corner = await a_corner(partitions=2)
    gate = asyncio.Semaphore(0)

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        await gate.acquire()

    await corner.publish(1, 2, 3, partition=0)
    async with corner.consuming(on_entity_changed) as consumption:
        await eventually(lambda: consumption.lag == 3)
        before = consumption.check()
        gate.release()
        gate.release()
        await eventually(lambda: consumption.lag == 1)
        almost = consumption.is_caught_up
        gate.release()
        await eventually(lambda: consumption.is_caught_up)
        await corner.publish(4, partition=1)
        await eventually(lambda: consumption.lag == 1)
        later = consumption.check()
        gate.release()

    assert (before.ok, almost, later.ok) == (False, False, True)
    assert "catching up" in before.detail


async def test_a_consumer_without_partitions_is_ready_to_take_over(corner: Corner) -> None:
    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        pass

    async with corner.consuming(on_entity_changed) as one, corner.consuming(on_entity_changed) as other:
        await eventually(lambda: one.check().ok and other.check().ok)
        assert sorted(len(each._partitions) for each in (one, other)) == [0, 1]


async def test_only_an_unbroken_run_of_done_records_is_committed(corner: Corner) -> None:
    side_by_side = ConsumePolicy(concurrency_max=4, commit_interval_s=0.05)
    is_released = asyncio.Event()
    done: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        if number_of(delivery.event) == 2:
            await is_released.wait()
        done.append(number_of(delivery.event))

    await corner.publish(*range(10))
    async with corner.consuming(on_entity_changed, policy=side_by_side):
        await eventually(lambda: len(done) == 9)
        await corner.eventually_committed(2)
        is_released.set()
        await corner.eventually_committed(10)

    assert sorted(done) == list(range(10))


async def test_commits_are_made_in_batches(corner: Corner) -> None:
    seen: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        seen.append(number_of(delivery.event))

    await corner.publish(*range(300))
    policy = ConsumePolicy(commit_interval_s=0.2, commit_records_max=100_000)
    async with corner.consuming(on_entity_changed, policy=policy):
        await eventually(lambda: len(seen) == 300)
        await corner.eventually_committed(300)

    assert COMMITS.labels(corner.topic.name, corner.group, "done")._value.get() < 10


async def test_records_of_one_key_keep_their_order_while_other_keys_go_on_beside_them(corner: Corner) -> None:
    side_by_side = ConsumePolicy(concurrency_max=8, commit_interval_s=0.05)
    in_flight: set[str] = set()
    overlaps: list[str] = []
    most = 0
    seen: dict[str, list[int]] = {}

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        nonlocal most
        key = delivery.envelope.subject
        if key in in_flight:
            overlaps.append(key)
        in_flight.add(key)
        most = max(most, len(in_flight))
        await asyncio.sleep(0.001 * (number_of(delivery.event) % 7))
        in_flight.discard(key)
        seen.setdefault(key, []).append(number_of(delivery.event))

    for number in range(200):
        await corner.publish(number, key=f"key-{number % 5}")
    async with corner.consuming(on_entity_changed, policy=side_by_side):
        await corner.eventually_committed(200)

    assert overlaps == []
    assert most == 5
    assert all(numbers == sorted(numbers) for numbers in seen.values())
    assert sum(map(len, seen.values())) == 200
