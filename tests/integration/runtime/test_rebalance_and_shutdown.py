"""Partitions move and processes stop while handlers are at work: nothing is lost, nothing overtakes."""

import asyncio
from collections import defaultdict
from functools import partial
from typing import Any

import pytest
from aiokafka import TopicPartition
from modelyard_runtime.consume import ConsumePolicy, Delivery
from modelyard_runtime.errors import TransientError

from tests.integration.runtime.corner import Corner, OpenCorner, eventually, number_of

pytestmark = pytest.mark.integration

RECORDS_PER_PARTITION = 150


class Journal:
    """What all members of a group handled, in the order it happened, with who did it."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int, int]] = []

    def handler(self, member: str, *, each_takes_s: float = 0.0) -> Any:
        async def on_entity_changed(delivery: Delivery[Any]) -> None:
            await asyncio.sleep(each_takes_s)
            self.entries.append((member, delivery.position.partition, number_of(delivery.event)))

        return on_entity_changed

    def numbers(self, partition: int) -> list[int]:
        return [number for _, at, number in self.entries if at == partition]

    def members(self) -> set[str]:
        return {member for member, _, _ in self.entries}


async def test_a_rebalance_while_handlers_work_loses_nothing_and_reorders_nothing(
    a_corner: OpenCorner,
) -> None:
    corner = await a_corner(partitions=2)
    journal = Journal()
    everything = list(range(RECORDS_PER_PARTITION))
    for partition in (0, 1):
        await corner.publish(*everything, partition=partition)

    async with corner.consuming(journal.handler("first", each_takes_s=0.02)):
        await eventually(lambda: len(journal.entries) >= 20)
        async with corner.consuming(journal.handler("second", each_takes_s=0.02)):
            await eventually(lambda: "second" in journal.members())
            await eventually(lambda: len(journal.entries) >= 120)
        await eventually(lambda: len(journal.entries) >= 2 * RECORDS_PER_PARTITION)
        for partition in (0, 1):
            await corner.eventually_committed(RECORDS_PER_PARTITION, partition=partition)

    # Both moves were orderly (what was in flight was finished and committed first), so there is not
    # even a duplicate.
    assert journal.members() == {"first", "second"}
    assert journal.numbers(0) == everything
    assert journal.numbers(1) == everything


async def test_a_handler_that_outlasts_the_drain_is_cancelled_and_its_record_delivered_again(
    a_corner: OpenCorner,
) -> None:
    corner = await a_corner(partitions=2)
    hurried = ConsumePolicy(drain_timeout_s=0.3, commit_interval_s=0.05)
    calls: dict[int, int] = defaultdict(int)
    cancelled: list[int] = []
    done: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        number = number_of(delivery.event)
        calls[number] += 1
        try:
            if calls[number] == 1:
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        done.append(number)

    await corner.publish(1, 2)
    async with corner.consuming(on_entity_changed, policy=hurried):
        await eventually(lambda: calls[1] == 1)
        async with corner.consuming(on_entity_changed, policy=hurried):
            calls[2] = 1  # Only the first record of all hangs.
            await eventually(lambda: done == [1, 2])
            await corner.eventually_committed(2)

    assert cancelled == [1]


async def test_stopping_during_a_handler_finishes_and_commits_what_is_in_flight(corner: Corner) -> None:
    started = asyncio.Event()
    done: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        started.set()
        await asyncio.sleep(0.5)
        done.append(number_of(delivery.event))

    await corner.publish(*range(10))
    async with corner.consuming(on_entity_changed):
        await started.wait()

    done_at_stop = list(done)
    assert done_at_stop == [0]
    assert await corner.committed() == {0: 1}

    journal = Journal()
    async with corner.consuming(journal.handler("next")):
        await corner.eventually_committed(10)
    assert journal.numbers(0) == list(range(1, 10))


async def test_stopping_during_a_retry_leaves_the_record_for_the_next_process(corner: Corner) -> None:
    tried = asyncio.Event()

    async def fail(delivery: Delivery[Any]) -> None:
        if number_of(delivery.event) == 1:
            tried.set()
            raise TransientError("not today")

    await corner.publish(0, 1, 2)
    async with corner.consuming(fail, policy=ConsumePolicy(backoff_initial_s=60, backoff_max_s=60)):
        await tried.wait()

    journal = Journal()
    async with corner.consuming(journal.handler("next")):
        await corner.eventually_committed(3)
    assert journal.numbers(0) == [1, 2]


async def test_draining_commits_and_takes_no_more_while_the_broker_is_still_connected(corner: Corner) -> None:
    journal = Journal()

    await corner.publish(*range(5))
    async with corner.consuming(journal.handler("only")) as consumption:
        await eventually(lambda: len(journal.entries) == 5)
        await consumption.drain()
        committed = await corner.committed()
        await corner.publish(5, 6)
        said = consumption.check()

    assert committed == {0: 5}
    assert (said.ok, said.detail) == (False, "drained")
    assert len(journal.entries) == 5


async def test_many_restarts_deliver_everything_at_least_once_in_order(corner: Corner) -> None:
    journal = Journal()
    restarts = 8
    everything = list(range(200))

    await corner.publish(*everything)
    for round_number in range(restarts):
        want = (round_number + 1) * len(everything) // restarts
        async with corner.consuming(journal.handler("a", each_takes_s=0.001)):
            await eventually(partial(_has_entries, journal, want))

    assert journal.numbers(0)[: len(everything)] == everything


async def test_a_log_that_was_rewound_is_read_again_from_there(corner: Corner) -> None:
    journal = Journal()

    await corner.publish(*range(5))
    async with corner.consuming(journal.handler("only")) as consumption:
        await eventually(lambda: len(journal.entries) == 5)
        await corner.eventually_committed(5)
        assert consumption._consumer is not None
        consumption._consumer.seek(TopicPartition(corner.topic_name, 0), 2)  # As when a topic is made anew.
        await corner.publish(5)
        await eventually(lambda: len(journal.entries) == 9)
        await corner.eventually_committed(6)

    assert journal.numbers(0) == [0, 1, 2, 3, 4, 2, 3, 4, 5]


def _has_entries(journal: Journal, count: int) -> bool:
    return len(journal.entries) >= count
