"""Writing to the outbox: one row per fact, in the transaction of the change that it is about."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from modelyard_events.event import Event
from modelyard_events.limits import PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX
from modelyard_events.topics import Topic
from modelyard_runtime.problems import InvalidRequestError

SIGNATURE_BYTES_MAX = 1_000
FRAMING_BYTES_MAX = RECORD_BYTES_MAX - PAYLOAD_BYTES_MAX - SIGNATURE_BYTES_MAX
"""What key, headers and Kafka's own framing may take together, beside the largest payload and a signature."""
FIXED_BYTES = 2_000
"""The names of all headers, the content type, the moment and the numbers, with Kafka's framing."""


class EventTooLargeError(InvalidRequestError):
    """The change would make an event that is larger than the broker takes."""

    code = "event-too-large"
    when = "The event about the change would have more bytes than the broker takes."
    fix = "Shorten the longest texts: evidence belongs in the artifact or behind a link."


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a fact comes from: whose change it tells of, when it became true, and which story it belongs to."""

    occurred_at: datetime
    actor: str
    correlation_id: str | None
    causation_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """An event that waits to be published. `topic` is the catalogue's name, without a prefix.

    `sequence` is gapless per topic and key; it is None for an audit entry, which gets its index from the
    relay and names its row by `audit_entry_id`.
    """

    topic: str
    key: str
    event_id: str
    type: str
    payload: str
    sequence: int | None
    audit_entry_id: UUID | None
    origin: Origin

    @classmethod
    def of(
        cls,
        event: Event,
        *,
        topic: Topic,
        key: str,
        event_id: str,
        sequence: int | None,
        audit_entry_id: UUID | None = None,
        origin: Origin,
    ) -> Self:
        """The row that tells `event`. Raises EventTooLargeError."""
        payload = event.model_dump_json()
        # Refused here, where somebody can still act: a row that no broker takes would hold up what is behind it.
        if (size := _bytes(payload)) > PAYLOAD_BYTES_MAX:
            raise EventTooLargeError(
                f"The change makes an event {event.type} of {size} bytes; {PAYLOAD_BYTES_MAX} are the most."
            )
        # The key is a header, too: the subject.
        framing = {"key": key, "actor": origin.actor, "correlation id": origin.correlation_id}
        texts = (key, event_id, origin.actor, origin.correlation_id or "", origin.causation_id or "")
        if (size := FIXED_BYTES + _bytes(key) + sum(map(_bytes, texts))) > FRAMING_BYTES_MAX:
            longest = max(framing, key=lambda name: len(framing[name] or ""))
            raise EventTooLargeError(
                f"Key and headers of an event {event.type} would have {size} bytes; {FRAMING_BYTES_MAX} are the most.",
                fix=f"Shorten the longest of them, the {longest}.",
            )
        return cls(
            topic=topic.name,
            key=key,
            event_id=event_id,
            type=event.type,
            payload=payload,
            sequence=sequence,
            audit_entry_id=audit_entry_id,
            origin=origin,
        )


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
