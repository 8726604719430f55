"""A handler that fails: retried, then parked once, and nobody else waits for it."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from modelyard_runtime.consume import ConsumePolicy, Delivery
from modelyard_runtime.errors import PermanentError, TransientError

from tests.integration.runtime.corner import QUICK, Corner, OpenCorner, eventually, number_of, text_headers

pytestmark = pytest.mark.integration


async def test_events_reach_their_handler_in_order_and_are_committed(corner: Corner) -> None:
    seen: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        seen.append(number_of(delivery.event))

    await corner.publish(*range(20))
    async with corner.consuming(on_entity_changed) as consumption:
        await eventually(lambda: len(seen) == 20)
        await corner.eventually_committed(20)
        await eventually(lambda: consumption.check().ok)

    assert seen == list(range(20))
    assert consumption.lag == 0


async def test_an_event_that_keeps_failing_is_parked_once_and_the_rest_goes_on_in_order(corner: Corner) -> None:
    attempts: list[int] = []
    seen: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        if number_of(delivery.event) == 2:
            attempts.append(delivery.attempt)
            raise RuntimeError("cannot")
        seen.append(number_of(delivery.event))

    await corner.publish(*range(5))
    async with corner.consuming(on_entity_changed):
        await eventually(lambda: len(seen) == 4)
        await corner.eventually_committed(5)

    (letter,) = await corner.dead_letters(count=1)
    told = text_headers(letter)
    assert seen == [0, 1, 3, 4]
    assert attempts == [1, 2, 3, 4, 5]
    assert (told["reason"], told["detail"], told["attempts"]) == ("handler_failed", "RuntimeError: cannot", "5")
    assert told["first_failed_at"] < told["last_failed_at"]
    assert (told["topic"], told["partition"], told["offset"]) == (corner.topic_name, "0", "2")
    assert told["group"] == corner.group
    assert await corner.dead_letter_count() == 1


async def test_a_permanent_failure_is_parked_at_once_with_its_reason(corner: Corner) -> None:
    calls: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        calls.append(number_of(delivery.event))
        if calls == [0]:
            raise PermanentError("this tenant is gone", reason="tenant_gone")

    await corner.publish(0, 1)
    async with corner.consuming(on_entity_changed):
        await corner.eventually_committed(2)

    (letter,) = await corner.dead_letters(count=1)
    assert calls == [0, 1]
    assert text_headers(letter)["reason"] == "tenant_gone"
    assert text_headers(letter)["detail"] == "this tenant is gone"
    assert text_headers(letter)["attempts"] == "1"


async def test_a_transient_failure_is_retried_past_any_number_of_attempts_and_nothing_is_lost(
    corner: Corner,
) -> None:
    attempts: list[int] = []
    seen: list[int] = []
    is_mended = asyncio.Event()

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        if number_of(delivery.event) == 1 and not is_mended.is_set():
            attempts.append(delivery.attempt)
            raise TransientError("the store is away")
        seen.append(number_of(delivery.event))

    await corner.publish(*range(4))
    async with corner.consuming(on_entity_changed) as consumption:
        await eventually(lambda: len(attempts) > 3 * QUICK.attempts_max)
        said = consumption.check()
        is_mended.set()
        await corner.eventually_committed(4)

    assert "the store is away" in said.detail
    assert seen == [0, 1, 2, 3]
    assert await corner.dead_letter_count() == 0


async def test_while_one_partition_is_retried_it_is_paused_and_the_others_go_on(a_corner: OpenCorner) -> None:
    corner = await a_corner(partitions=2)
    seen: list[tuple[int, int]] = []
    is_mended = asyncio.Event()

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        if delivery.position.partition == 0 and not is_mended.is_set():
            raise TransientError("not yet")
        seen.append((delivery.position.partition, number_of(delivery.event)))

    await corner.publish(*range(5), partition=0)
    async with corner.consuming(on_entity_changed) as consumption:
        await eventually(lambda: "not yet" in consumption.check().detail)
        await corner.publish(*range(5), partition=1)
        await eventually(lambda: len(seen) == 5)
        others = list(seen)
        assert consumption._consumer is not None
        paused = consumption._consumer.paused()
        is_mended.set()
        await eventually(lambda: len(seen) == 10)

    assert paused == {TopicPartition(corner.topic_name, 0)}
    assert others == [(1, number) for number in range(5)]
    assert seen[5:] == [(0, number) for number in range(5)]


async def test_a_member_that_retries_for_longer_than_its_session_is_not_evicted(corner: Corner) -> None:
    seen: list[int] = []
    calls: list[int] = []
    loop = asyncio.get_running_loop()
    started_at = loop.time()

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        calls.append(delivery.attempt)
        if loop.time() - started_at < 12.0:  # The session timeout is 10 s.
            raise TransientError("not yet")
        seen.append(number_of(delivery.event))

    await corner.publish(7)
    slow = ConsumePolicy(backoff_initial_s=0.5, backoff_max_s=1.0)
    async with corner.consuming(on_entity_changed, policy=slow):
        await eventually(lambda: seen == [7])
        await corner.eventually_committed(1)

    assert calls == list(range(1, len(calls) + 1))  # One unbroken series: it was never delivered anew.
