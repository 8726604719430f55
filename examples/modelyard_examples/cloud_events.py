"""How anyone tells Modelyard something through Kafka: a CloudEvent in binary mode, with plain aiokafka.

The attributes are headers whose names begin with `ce_`, the data is the record's value as JSON, and the
record's key is the event's subject: events about one subject stay in order.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from aiokafka import AIOKafkaProducer

from modelyard_examples.signing import SenderKey

TRAINING_RUNS = "training-runs.v1"
ENTITY_CHANGES = "entity-changes.v1"

SEND_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One fact. `id` is unique for ever: an event with an id seen before is a redelivery."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Mapping[str, object]

    def headers(self) -> list[tuple[str, bytes]]:
        """The attributes as Kafka headers, as the CloudEvents Kafka binding spells them."""
        attributes = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time.isoformat(),
        }
        spelled = [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
        return [("content-type", b"application/json"), *spelled]


@asynccontextmanager
async def open_producer(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer whose acknowledged records are safe, and that never writes one twice by its own retries."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=int(SEND_TIMEOUT_S * 1_000),
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(
    producer: AIOKafkaProducer, event: CloudEvent, *, topic: str, signing_key: SenderKey | None = None
) -> None:
    """Publish the event, with its sender's proof when there is a key, and wait until the broker has it.

    Raises `aiokafka.errors.KafkaError` when the broker refuses it.
    """
    key, value = event.subject.encode(), json.dumps(event.data, allow_nan=False).encode()
    headers = event.headers()
    proof = signing_key.proof(key=key, value=value, headers=headers) if signing_key is not None else []
    await producer.send_and_wait(topic, value, key=key, headers=[*headers, *proof])
