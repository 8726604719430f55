"""Offset and effect in one place: the consumer follows the store, not Kafka's commits."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from modelyard_runtime.consume import Batch, Consumption, Delivery
from modelyard_runtime.errors import PermanentError, StaleOffsetError, TransientError

from tests.integration.runtime.corner import Corner, eventually, number_of, text_headers

pytestmark = pytest.mark.integration


class Store:
    """Keeps next offsets and effects together and refuses who comes too late, as a table with a guard does."""

    def __init__(self) -> None:
        self.next_offsets: dict[tuple[str, int], int] = {}
        self.applied: list[int] = []
        self.refusals = 0
        self.asked: list[Collection[tuple[str, int]]] = []
        self.trouble: dict[int, Exception] = {}
        self.is_away = False
        self.sizes: list[int] = []
        self.is_quick = asyncio.Event()
        self.is_quick.set()

    async def on_batch(self, batch: Batch) -> None:
        where = (batch.topic, batch.partition)
        await self.is_quick.wait()
        if self.is_away:
            raise TransientError("the database is away")
        if self.next_offsets.get(where, 0) > batch.first_offset:
            self.refusals += 1
            raise StaleOffsetError
        numbers = [number_of(delivery.event) for delivery in batch.deliveries]
        for number in numbers:
            if number in self.trouble:
                raise self.trouble[number]
        self.sizes.append(len(numbers))
        self.applied.extend(numbers)
        self.next_offsets[where] = batch.next_offset

    async def start_offsets(self, partitions: Collection[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        self.asked.append(partitions)
        if self.is_away:
            raise TransientError("the database is away")
        return {where: self.next_offsets[where] for where in partitions if where in self.next_offsets}


async def test_a_partition_without_a_stored_offset_starts_at_the_earliest_record(corner: Corner) -> None:
    store = Store()

    await _commit_everything(corner, count=3)
    async with corner.consuming_batches(store.on_batch, start_offsets=store.start_offsets):
        await eventually(lambda: store.applied == [0, 1, 2])

    assert store.asked == [[(corner.topic_name, 0)]]


async def test_on_assignment_the_consumer_seeks_to_the_stored_offset(corner: Corner) -> None:
    store = Store()
    store.next_offsets[corner.topic_name, 0] = 2

    await _commit_everything(corner, count=3)
    await corner.publish(3)
    async with corner.consuming_batches(store.on_batch, start_offsets=store.start_offsets) as consumption:
        await eventually(lambda: store.applied == [2, 3])
        await eventually(lambda: consumption.is_caught_up)

    assert store.next_offsets == {(corner.topic_name, 0): 4}


async def test_what_another_consumer_applied_meanwhile_is_not_applied_again_and_the_rest_is(
    corner: Corner,
) -> None:
    store = Store()

    await corner.publish(*range(3))
    async with corner.consuming_batches(store.on_batch, start_offsets=store.start_offsets) as consumption:
        await eventually(lambda: store.applied == [0, 1, 2])
        store.is_quick.clear()
        await corner.publish(3, 4, 5, 6)
        await eventually(lambda: _outstanding(consumption) == 4)
        store.next_offsets[corner.topic_name, 0] = 6  # Another one took over while this one was paused.
        store.is_quick.set()
        await eventually(lambda: store.applied == [0, 1, 2, 6])

    assert store.refusals > 0


async def test_a_store_that_was_set_back_gets_the_records_again(corner: Corner) -> None:
    store = Store()

    await corner.publish(*range(3))
    async with corner.consuming_batches(store.on_batch, start_offsets=store.start_offsets):
        await eventually(lambda: store.applied == [0, 1, 2])
    store.next_offsets[corner.topic_name, 0] = 1  # Restored from a backup.
    async with corner.consuming_batches(store.on_batch, start_offsets=store.start_offsets):
        await eventually(lambda: store.applied == [0, 1, 2, 1, 2])


async def test_while_the_store_is_away_at_the_start_nothing_is_handed_over(corner: Corner) -> None:
    store = Store()
    store.next_offsets[corner.topic_name, 0] = 1
    store.is_away = True

    await corner.publish(*range(3))
    async with corner.consuming_batches(store.on_batch, start_offsets=store.start_offsets) as consumption:
        await eventually(lambda: len(store.asked) > 3)
        said = consumption.check()
        store.is_away = False
        await eventually(lambda: store.applied == [1, 2])

    assert not said.ok
    assert "the database is away" in said.detail


async def test_of_a_batch_that_fails_only_the_bad_record_is_parked(corner: Corner) -> None:
    store = Store()
    store.trouble = {2: PermanentError("no such model", reason="model_missing"), 4: RuntimeError("bug")}

    await corner.publish(*range(6))
    async with corner.consuming_batches(store.on_batch, start_offsets=store.start_offsets):
        await eventually(lambda: store.next_offsets.get((corner.topic_name, 0)) == 6)
        await corner.eventually_committed(6)
        await corner.publish(6, 7)
        await eventually(lambda: store.applied[-2:] == [6, 7])

    letters = [text_headers(letter) for letter in await corner.dead_letters(count=2)]
    assert store.applied == [0, 1, 3, 5, 6, 7]
    assert [(told["offset"], told["reason"]) for told in letters] == [
        ("2", "model_missing"),
        ("4", "handler_failed"),
    ]


async def test_a_batch_waits_as_long_as_the_store_is_away(corner: Corner) -> None:
    store = Store()

    async with corner.consuming_batches(store.on_batch, start_offsets=store.start_offsets) as consumption:
        store.is_away = True
        await corner.publish(*range(4))
        await eventually(lambda: "the database is away" in consumption.check().detail)
        store.is_away = False
        await corner.eventually_committed(4)

    assert store.applied == [0, 1, 2, 3]
    assert await corner.dead_letter_count() == 0


async def test_what_waits_is_handed_over_together(corner: Corner) -> None:
    store = Store()

    await corner.publish(*range(100))
    async with corner.consuming_batches(store.on_batch, start_offsets=store.start_offsets):
        await eventually(lambda: len(store.applied) == 100)

    assert len(store.sizes) < 20


def _outstanding(consumption: Consumption) -> int:
    return sum(part.lane.ledger.offsets.outstanding for part in consumption._partitions.values())


async def _commit_everything(corner: Corner, *, count: int) -> None:
    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        pass

    await corner.publish(*range(count))
    async with corner.consuming(on_entity_changed):
        await corner.eventually_committed(count)
