"""Events and facts on their way out: acknowledged, ordered, numbered; and topics as the catalogue says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from modelyard_events.codec import Received, Record, decode
from modelyard_events.topics import Kind
from modelyard_runtime.clock import utc_now
from modelyard_runtime.errors import EventTooLargeError, PublishFailedError
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.publish import Publisher, build_producer
from modelyard_runtime.publish.fact_queue import FactQueue
from modelyard_runtime.topic_setup import TopicMismatchError, ensure_topics
from modelyard_stack import Stack

from tests.integration.runtime.corner import Corner, OpenCorner, an_entity_changed, number_of

pytestmark = pytest.mark.integration


async def test_a_published_event_is_on_the_topic_with_its_whole_envelope(corner: Corner) -> None:
    publisher = a_publisher(corner, corner.producer)

    envelope = await publisher.publish(
        corner.topic,
        an_entity_changed(7),
        key="acme/loan/7",
        correlation_id="story",
        causation_id="cause",
        actor="ada",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )

    (record,) = await corner.records(corner.topic_name, count=1)
    received = _decoded(record)
    assert record.key == b"acme/loan/7"
    assert received.envelope == envelope
    assert received.event == an_entity_changed(7)


async def test_an_event_that_the_broker_will_never_take_is_a_permanent_failure(corner: Corner) -> None:
    publisher = a_publisher(corner, corner.producer)
    huge = an_entity_changed(1).model_copy(update={"changed_fields": ("x" * 3_000_000,)})

    with pytest.raises(EventTooLargeError, match="1048588 are the most"):
        await publisher.publish(corner.topic, huge, key="acme/loan/1")


async def test_an_event_that_is_not_acknowledged_in_time_is_a_transient_failure(corner: Corner) -> None:
    nowhere = build_producer(kafka=KafkaConnection(bootstrap=corner.bootstrap), client_id="test")
    await nowhere.start()
    publisher = a_publisher(corner, nowhere, timeout_s=0.3)
    try:
        with pytest.raises(PublishFailedError, match="not acknowledged"):
            await publisher.publish(
                replace(corner.topic, name="no such topic!"), an_entity_changed(1), key="acme/loan/1"
            )
    finally:
        await nowhere.stop()


async def test_offered_facts_arrive_in_order_with_a_gapless_sequence(corner: Corner) -> None:
    async with a_fact_queue(corner) as queue:
        taken = [queue.offer(corner.topic, an_entity_changed(number), key="acme/loan/1") for number in range(3_000)]
        left = await queue.drain(timeout_s=30)

    received = [_decoded(record) for record in await corner.records(corner.topic_name, count=3_000)]
    assert all(taken)
    assert left == 0
    assert [number_of(each.event) for each in received] == list(range(3_000))
    assert [each.envelope.sequence for each in received] == list(range(1, 3_001))
    assert {each.envelope.source for each in received} == {"/modelyard/router/one"}
    assert len({each.envelope.id for each in received}) == 3_000


async def test_a_full_queue_drops_the_newer_facts_and_the_gap_tells_how_many(corner: Corner) -> None:
    async with a_fact_queue(corner, queue_max=10) as queue:
        taken = [queue.offer(corner.topic, an_entity_changed(n), key="acme/loan/1") for n in range(25)]
        await queue.drain(timeout_s=30)
        queue.offer(corner.topic, an_entity_changed(25), key="acme/loan/1")
        await queue.drain(timeout_s=30)
        dropped = queue.dropped

    received = [_decoded(record) for record in await corner.records(corner.topic_name, count=11)]
    assert taken == [True] * 10 + [False] * 15
    assert dropped == 15
    assert [each.envelope.sequence for each in received] == [*range(1, 11), 26]


async def test_a_fact_too_large_for_the_broker_is_dropped_and_the_others_go_on(corner: Corner) -> None:
    huge = an_entity_changed(1).model_copy(update={"changed_fields": ("x" * 3_000_000,)})

    async with a_fact_queue(corner) as queue:
        queue.offer(corner.topic, an_entity_changed(0), key="acme/loan/1")
        queue.offer(corner.topic, huge, key="acme/loan/1")
        queue.offer(corner.topic, an_entity_changed(2), key="acme/loan/1")
        left = await queue.drain(timeout_s=30)
        dropped = queue.dropped

    received = [_decoded(record) for record in await corner.records(corner.topic_name, count=2)]
    assert (left, dropped) == (0, 1)
    assert [each.envelope.sequence for each in received] == [1, 3]


async def test_topics_are_made_as_the_catalogue_says_and_making_them_again_changes_nothing(
    stack: Stack, topic_prefix: str
) -> None:
    bootstrap = stack.addresses.kafka_bootstrap

    await asyncio.gather(
        *(ensure_topics(kafka=KafkaConnection(bootstrap=bootstrap), prefix=topic_prefix) for _ in range(3))
    )

    await ensure_topics(kafka=KafkaConnection(bootstrap=bootstrap), prefix=topic_prefix)


async def test_a_topic_that_differs_is_named_with_each_difference_and_its_remedy(
    a_corner: OpenCorner,
) -> None:
    corner = await a_corner(partitions=2)
    other = replace(corner.topic, partitions=3, retention_ms=1_000)

    with pytest.raises(TopicMismatchError) as raised:
        await ensure_topics(kafka=KafkaConnection(bootstrap=corner.bootstrap), prefix=corner.prefix, topics=[other])

    partitions, retention = raised.value.differences
    assert f"{corner.topic_name} has 2 partitions, the catalogue says 3" in partitions
    assert f"--entity-name {corner.topic_name} --add-config retention.ms=1000" in retention
    assert all(line in str(raised.value) for line in raised.value.differences)


async def test_a_topic_that_should_be_compacted_and_is_not_is_refused(corner: Corner) -> None:
    other = replace(corner.topic, kind=Kind.STATE)

    with pytest.raises(TopicMismatchError, match=r"cleanup\.policy=delete, the catalogue says compact"):
        await ensure_topics(kafka=KafkaConnection(bootstrap=corner.bootstrap), prefix=corner.prefix, topics=[other])


def a_publisher(corner: Corner, producer: AIOKafkaProducer, *, timeout_s: float = 30.0) -> Publisher:
    return Publisher(
        producer,
        source="/modelyard/test",
        prefix=corner.prefix,
        clock=utc_now,
        new_id=new_uuid7,
        timeout_s=timeout_s,
    )


@asynccontextmanager
async def a_fact_queue(corner: Corner, *, queue_max: int = 10_000) -> AsyncIterator[FactQueue]:
    queue = FactQueue(
        corner.producer,
        source="/modelyard/router/one",
        prefix=corner.prefix,
        clock=utc_now,
        new_id=new_uuid7,
        queue_max=queue_max,
    )
    running = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        running.cancel()
        await asyncio.wait([running])


def _decoded(record: Any) -> Received[Any]:
    received = decode(Record(key=record.key, value=record.value, headers=tuple(record.headers)))
    assert isinstance(received, Received)
    return received
