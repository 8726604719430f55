"""Events as somebody else makes them: with the `cloudevents` package from PyPI, which knows nothing of ours."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from cloudevents.core.bindings.kafka import KafkaMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from modelyard_events.codec import Record


def an_outsiders_event(kind: str, data: Mapping[str, object], *, subject: str, structured: bool = False) -> Record:
    """A CloudEvent as a Kafka record, in binary or structured mode; its subject is its key."""
    event = CloudEvent(
        attributes={
            "id": str(uuid.uuid4()),
            "source": "urn:test:outsider",
            "type": kind,
            "subject": subject,
            "time": datetime.now(UTC),
            "datacontenttype": "application/json",
            "partitionkey": subject,
        },
        data=dict(data),
    )
    return _record(to_structured_event(event) if structured else to_binary_event(event))


def _record(message: KafkaMessage) -> Record:
    key = message.key.encode() if isinstance(message.key, str) else message.key
    return Record(key=key, value=message.value, headers=tuple(message.headers.items()))
