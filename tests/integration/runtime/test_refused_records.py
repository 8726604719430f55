"""A record that the broker refuses is an error of that record alone: the producer goes on."""

import asyncio

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from modelyard_runtime.clock import utc_now
from modelyard_runtime.errors import EventTooLargeError
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.publish import Publication, Publisher
from modelyard_runtime.publish.fact_queue import FactQueue

from tests.integration.runtime.corner import Corner, an_entity_changed, eventually
from tests.topic_limits import take_at_most

pytestmark = pytest.mark.integration

LARGE = an_entity_changed(1).model_copy(update={"changed_fields": ("x" * 5_000,)})
SMALL = an_entity_changed(2)


async def bound(corner: Corner) -> None:
    """Make the broker refuse batches of more than 3,000 bytes on the topic."""
    await take_at_most(3_000, bootstrap=corner.bootstrap, topic_name=corner.topic_name)


def a_publisher(corner: Corner) -> Publisher:
    return Publisher(
        corner.producer, source="/test", prefix=corner.prefix, clock=utc_now, new_id=new_uuid7, timeout_s=10.0
    )


async def test_events_are_published_after_one_that_the_broker_refused(corner: Corner) -> None:
    await bound(corner)
    publisher = a_publisher(corner)

    for _ in range(3):
        with pytest.raises(EventTooLargeError, match="refused"):
            await publisher.publish(corner.topic, LARGE, key="acme/loan/1")
        await publisher.publish(corner.topic, SMALL, key="acme/loan/2")

    assert len(await corner.records(corner.topic_name, count=3)) == 3


async def test_a_refused_batch_says_so_and_its_sound_events_go_alone(corner: Corner) -> None:
    await bound(corner)
    publisher = a_publisher(corner)
    both = [Publication(event=LARGE, key="acme/loan/1"), Publication(event=SMALL, key="acme/loan/2")]

    with pytest.raises(EventTooLargeError):
        await publisher.publish_all(corner.topic, both)
    await publisher.publish_all(corner.topic, both[1:])

    assert (await corner.records(corner.topic_name, count=1))[0].key == b"acme/loan/2"


async def test_a_fact_that_the_broker_refuses_is_dropped_and_counted_and_the_others_arrive(corner: Corner) -> None:
    await bound(corner)
    queue = FactQueue(
        corner.producer, source="/test/facts", prefix=corner.prefix, clock=utc_now, new_id=new_uuid7, retry_wait_s=0.05
    )
    for number in range(10):
        queue.offer(corner.topic, LARGE if number == 4 else SMALL, key=f"acme/loan/{number}")
    running = asyncio.create_task(queue.run())
    try:
        await eventually(lambda: queue.waiting == 0)
        assert not running.done(), running.exception()
    finally:
        running.cancel()

    assert queue.dropped == 1
    keys = {record.key for record in await corner.records(corner.topic_name, count=9)}
    assert keys == {f"acme/loan/{number}".encode() for number in range(10) if number != 4}


async def test_records_that_follow_a_refused_one_at_once_are_not_lost_for_ever(corner: Corner) -> None:
    await bound(corner)
    with pytest.raises(MessageSizeTooLargeError):
        await corner.producer.send_and_wait(corner.topic_name, b"x" * 5_000)

    for number in range(5):
        await corner.producer.send_and_wait(corner.topic_name, b"%d" % number)

    assert [record.value for record in await corner.records(corner.topic_name, count=5)] == [
        b"0", b"1", b"2", b"3", b"4",
    ]  # fmt: skip
