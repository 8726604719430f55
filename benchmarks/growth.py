"""How fast a topic grows, from the offsets at the ends of its partitions: what the broker has acknowledged."""

import asyncio
import time

from aiokafka import AIOKafkaConsumer, TopicPartition
from modelyard_events.topics import Topic

LOOK_S = 0.01


async def records_in(consumer: AIOKafkaConsumer, topic: Topic) -> int:
    """How many records the topic holds, if none was deleted."""
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    return sum(ends.values())


async def growth_per_second(bootstrap: str, topic: Topic, *, before: int, count: int, timeout_s: float) -> float:
    """Records per second, from the moment the topic grows beyond `before` until `count` are added.

    Raises TimeoutError.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    async with consumer, asyncio.timeout(timeout_s):
        first = await _wait_for_records(consumer, topic, at_least=before + 1)
        began_at = time.perf_counter()
        last = await _wait_for_records(consumer, topic, at_least=before + count)
        seconds = time.perf_counter() - began_at
    # What was there at the first look arrived before the clock ran.
    return (last - first) / seconds


async def _wait_for_records(consumer: AIOKafkaConsumer, topic: Topic, *, at_least: int) -> int:
    while True:
        records = await records_in(consumer, topic)
        if records >= at_least:
            return records
        await asyncio.sleep(LOOK_S)
