"""What a record means to a consumer: an event for a handler, nothing, or a dead letter. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelyard_events.codec import Poison, Received, Tombstone, Unknown, decode_measured
from modelyard_events.event import Event
from modelyard_events.record import Record
from modelyard_events.topics import Kind

from modelyard_runtime.consume.delivery import Delivery, Handler, Position, RawRecord, Sender


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing to do. `outcome` is the metric label: ignored, tombstone or unknown."""

    outcome: str


Reading = Received[Event] | Ignored | Poison


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events of a topic are handled: the types in `types`, or every known type when it is None."""

    kind: Kind
    types: Mapping[type[Event], Any] | None = None


def read(record: Record, wanted: Wanted) -> Reading:
    """Decode a record that is small enough and say what to do with it. Never raises.

    An unknown type is the sender's mistake on an ingest topic, and a newer producer's word on all others.
    """
    match decode_measured(record):
        case Received() as received:
            is_wanted = wanted.types is None or type(received.event) in wanted.types
            return received if is_wanted else Ignored("ignored")
        case Unknown(envelope) if wanted.kind is Kind.INGEST:
            return Poison("unknown_type", f"nobody knows the event type {envelope.type}")
        case Unknown():
            return Ignored("unknown")
        case Tombstone():
            return Ignored("tombstone")
        case poison:
            return poison


def delivery_of(
    record: RawRecord, received: Received[Event], *, attempt: int, sender: Sender | None = None
) -> Delivery[Any]:
    """The event as a handler receives it."""
    return Delivery(
        envelope=received.envelope,
        event=received.event,
        position=Position(topic=record.topic, partition=record.partition, offset=record.offset),
        attempt=attempt,
        key=record.key,
        sender=sender,
    )


def handler_of(received: Received[Event], on: Mapping[type[Event], Handler]) -> Handler:
    """The handler of an event that `read` said is wanted."""
    return on[type(received.event)]
