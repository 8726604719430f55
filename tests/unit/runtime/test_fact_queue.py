"""Offering a fact costs next to nothing and never fails, whatever happens behind it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.errors import KafkaError, KafkaTimeoutError, UnknownError
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


class FailingOnce:
    """A producer's twin. `failures` maps a sequence to the error of its first sending."""

    def __init__(self, failures: dict[int, KafkaError], *, fails_late: bool) -> None:
        self.failures = failures
        self.fails_late = fails_late
        self.taken: list[int] = []

    async def send(self, topic: str, value: bytes, **record: Any) -> "asyncio.Future[None]":
        sequence = int(dict(record["headers"])["ce_sequence"])
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failure = self.failures.pop(sequence, None)
        if failure is None:
            self.taken.append(sequence)
            acknowledged.set_result(None)
        elif self.fails_late:
            asyncio.get_running_loop().call_later(0.01, acknowledged.set_exception, failure)
        else:
            acknowledged.set_exception(failure)
        return acknowledged


@pytest.mark.parametrize(
    ("failures", "fails_late"),
    [
        pytest.param({1: KafkaTimeoutError()}, False, id="the next fact would get through"),
        pytest.param({1: UnknownError()}, False, id="the next fact would get through while the first is sent alone"),
        pytest.param({2: KafkaTimeoutError(), 3: UnknownError()}, True, id="a later fact would be sent alone"),
    ],
)
async def test_a_fact_that_is_sent_again_stays_before_the_later_ones_of_its_key(
    failures: dict[int, KafkaError], fails_late: bool
) -> None:
    producer = FailingOnce(dict(failures), fails_late=fails_late)
    queue = a_queue(producer)
    for _ in range(3):
        queue.offer(ENTITY_CHANGES, FACT, key="k")
    running = asyncio.create_task(queue.run())

    left = await queue.drain(timeout_s=10)
    running.cancel()

    assert left == 0
    assert producer.taken == [1, 2, 3]
