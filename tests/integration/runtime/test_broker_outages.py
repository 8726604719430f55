"""The broker goes away, politely or not, and comes back: everything goes on where it was."""

import asyncio
import json
from typing import Any

import pytest
from modelyard_runtime.clock import utc_now
from modelyard_runtime.consume import Delivery
from modelyard_runtime.errors import PermanentError
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.publish.fact_queue import FactQueue

from tests.integration.runtime.corner import an_entity_changed, eventually, number_of, open_corner
from tests.stack_fixtures import OwnStack

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(180)]

BACK_S = 90.0


async def test_consuming_parking_and_facts_survive_a_broker_that_is_killed(own_stack: OwnStack) -> None:
    stack = await own_stack()
    seen: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        number = number_of(delivery.event)
        if number % 50 == 0:
            raise PermanentError("every fiftieth", reason="fiftieth")
        await asyncio.sleep(0.002)
        seen.append(number)

    async with (
        open_corner(bootstrap=stack.addresses.kafka_bootstrap, prefix="outage.") as corner,
        corner.consuming(on_entity_changed) as consumption,
    ):
        queue = FactQueue(corner.producer, source="/test", prefix="outage.", clock=utc_now, new_id=new_uuid7)
        leaving = asyncio.create_task(queue.run())
        for number in range(1, 501):
            queue.offer(corner.topic, an_entity_changed(number), key="acme/loan/1")
        await eventually(lambda: len(seen) > 50)

        await stack.kafka.kill()
        for number in range(501, 1_001):
            queue.offer(corner.topic, an_entity_changed(number), key="acme/loan/1")
        await stack.kafka.start()
        await eventually(lambda: 999 in seen, within_s=BACK_S)
        left = await queue.drain(timeout_s=30)
        await eventually(lambda: consumption.lag == 0, within_s=BACK_S)
        leaving.cancel()
        letters = {number_of_letter(letter) for letter in await corner.dead_letters(count=20)}

    assert left == 0
    assert sorted(set(seen)) == [number for number in range(1, 1_001) if number % 50]
    assert letters == set(range(50, 1_001, 50))
    first_times = list(dict.fromkeys(seen))
    assert first_times == sorted(first_times)


async def test_consuming_goes_on_after_an_orderly_restart_of_the_broker(own_stack: OwnStack) -> None:
    stack = await own_stack()
    seen: list[int] = []

    async def on_entity_changed(delivery: Delivery[Any]) -> None:
        seen.append(number_of(delivery.event))

    async with (
        open_corner(bootstrap=stack.addresses.kafka_bootstrap, prefix="restart.") as corner,
        corner.consuming(on_entity_changed),
    ):
        await corner.publish(*range(10))
        await eventually(lambda: len(seen) == 10)
        await stack.kafka.restart()
        await corner.publish(*range(10, 20))
        await eventually(lambda: 19 in seen, within_s=BACK_S)
        await corner.eventually_committed(20)

    assert list(dict.fromkeys(seen)) == list(range(20))


def number_of_letter(letter: Any) -> int:
    """The number of the event that was parked."""
    return int(json.loads(letter.value)["entity_id"])
