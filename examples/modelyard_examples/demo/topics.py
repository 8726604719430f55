"""Reading a topic from its beginning to its present end, as an auditor would, with plain aiokafka."""

import json
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer

from modelyard_examples.demo.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRecord:
    """An event as it stands on its topic: CloudEvents attributes without their `ce_`, and the data."""

    key: str
    attributes: dict[str, str]
    data: dict[str, Any]


async def records_of(world: World, topic: str) -> list[TopicRecord]:
    """Every event on a topic up to now, partition by partition, in order within each."""
    consumer = AIOKafkaConsumer(
        world.system.topic_prefix + topic,
        bootstrap_servers=world.kafka_bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        records: list[TopicRecord] = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += [_read(raw) for raw in batch if raw.value is not None]
        return records
    finally:
        await consumer.stop()


def _read(raw: Any) -> TopicRecord:
    attributes = {name.removeprefix("ce_"): value.decode() for name, value in raw.headers}
    return TopicRecord(key=raw.key.decode(), attributes=attributes, data=json.loads(raw.value))
