"""Offering a fact costs next to nothing and never fails, whatever happens behind it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from aiokafka.errors import KafkaTimeoutError
from modelyard_events.entities import EntityChanged
from modelyard_events.topics import ENTITY_CHANGES
from modelyard_runtime.publish.fact_queue import FactQueue

NOW = datetime(2026, 11, 21, tzinfo=UTC)
FACT = EntityChanged(tenant="acme", entity_type="loan", entity_id="1")


class MemoryProducer:
    """A producer's twin: keeps what is sent; refuses while `is_away`."""

    def __init__(self) -> None:
        self.is_away = False
        self.sequences: list[int] = []
        self.refused = asyncio.Event()

    async def send(self, topic: str, value: bytes, **record: Any) -> "asyncio.Future[None]":
        if self.is_away:
            self.refused.set()
            raise KafkaTimeoutError
        sequence = dict(record["headers"])["ce_sequence"]
        self.sequences.append(int(sequence))
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged


def a_queue(producer: Any, *, queue_max: int = 100, gather_s: float = 0.0) -> FactQueue:
    return FactQueue(
        producer,
        source="/test",
        prefix="",
        clock=lambda: NOW,
        new_id=lambda: "an-id",
        queue_max=queue_max,
        retry_wait_s=0.001,
        gather_s=gather_s,
    )


async def test_offering_without_anybody_draining_keeps_the_oldest() -> None:
    queue = a_queue(MemoryProducer(), queue_max=3)

    taken = [queue.offer(ENTITY_CHANGES, FACT, key="k") for _ in range(5)]

    assert taken == [True, True, True, False, False]
    assert (queue.waiting, queue.dropped) == (3, 2)


async def test_during_an_outage_facts_wait_and_afterwards_they_leave_in_order() -> None:
    producer = MemoryProducer()
    producer.is_away = True
    queue = a_queue(producer, queue_max=5)
    running = asyncio.create_task(queue.run())

    for _ in range(4):
        queue.offer(ENTITY_CHANGES, FACT, key="k")
    await producer.refused.wait()
    taken = [queue.offer(ENTITY_CHANGES, FACT, key="k") for _ in range(3)]
    producer.is_away = False
    left = await queue.drain(timeout_s=10)
    running.cancel()

    assert taken == [True, False, False]
    assert left == 0
    assert producer.sequences == [1, 2, 3, 4, 5]


async def test_draining_gives_up_at_its_deadline_and_says_how_many_are_left() -> None:
    producer = MemoryProducer()
    producer.is_away = True
    queue = a_queue(producer)
    running = asyncio.create_task(queue.run())
    for _ in range(4):
        queue.offer(ENTITY_CHANGES, FACT, key="k")

    left = await queue.drain(timeout_s=0.05)
    running.cancel()

    assert left == 4


async def test_the_health_never_fails_and_tells_the_losses() -> None:
    queue = a_queue(MemoryProducer(), queue_max=1)
    queue.offer(ENTITY_CHANGES, FACT, key="k")
    queue.offer(ENTITY_CHANGES, FACT, key="k")

    said = queue.check()

    assert (said.ok, said.detail) == (True, "1 waiting, 1 dropped")


async def test_facts_that_come_one_after_the_other_leave_together() -> None:
    producer = MemoryProducer()
    queue = a_queue(producer, gather_s=0.05)
    running = asyncio.create_task(queue.run())

    for _ in range(3):
        queue.offer(ENTITY_CHANGES, FACT, key="k")
        await asyncio.sleep(0.001)
    before = list(producer.sequences)
    left = await queue.drain(timeout_s=10)
    running.cancel()

    assert (before, left) == ([], 0)
    assert producer.sequences == [1, 2, 3]
