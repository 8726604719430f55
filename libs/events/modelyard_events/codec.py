"""Events to Kafka records and back: CloudEvents 1.0, binary mode; structured mode is understood too.

Decoding never raises. What cannot be read becomes a `Poison` value that says why, so that one bad
record can be parked while the next one is read.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.topics import EVENT_TYPES

CONTENT_TYPE = "content-type"
JSON_TYPE = "application/json"
STRUCTURED_TYPE = "application/cloudevents+json"
SPEC_VERSION = "1.0"

E = TypeVar("E", bound=Event)

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A Kafka record's key, value and headers, as bytes."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Received(Generic[E]):
    """A readable event with its envelope."""

    envelope: Envelope
    event: E


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A record with a null value: it deletes its key on compaction."""

    key: bytes | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A well-formed event of a type that this build does not know."""

    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that will never be readable. `reason` is a short code, `detail` a sentence for people."""

    reason: str
    detail: str


Decoded = Received[Event] | Tombstone | Unknown | Poison


class _PoisonError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.poison = Poison(reason, detail[:1_000])


def encode(event: Event, envelope: Envelope) -> Record:
    """An event in CloudEvents binary mode: attributes in `ce_*` headers, the event's JSON as the value."""
    return Record(
        key=envelope.subject.encode(),
        value=event.model_dump_json().encode(),
        headers=headers_of(envelope),
    )


def headers_of(envelope: Envelope) -> tuple[tuple[str, bytes | None], ...]:
    """The `ce_*` headers and the content type of an envelope; absent attributes are left out."""
    # Written out, for it is most of what it costs to publish an event.
    present: list[tuple[str, bytes | None]] = [
        (CONTENT_TYPE, JSON_TYPE.encode()),
        ("ce_specversion", SPEC_VERSION.encode()),
        ("ce_id", envelope.id.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_subject", envelope.subject.encode()),
        ("ce_time", envelope.occurred_at.isoformat().encode()),
    ]
    if envelope.sequence is not None:
        present.append(("ce_sequence", str(envelope.sequence).encode()))
    if envelope.generation is not None:
        present.append(("ce_generation", str(envelope.generation).encode()))
    if envelope.correlation_id is not None:
        present.append(("ce_correlationid", envelope.correlation_id.encode()))
    if envelope.causation_id is not None:
        present.append(("ce_causationid", envelope.causation_id.encode()))
    if envelope.traceparent is not None:
        present.append(("ce_traceparent", envelope.traceparent.encode()))
    if envelope.actor is not None:
        present.append(("ce_actor", envelope.actor.encode()))
    return tuple(present)


def decode(record: Record) -> Decoded:
    """What a record says, in binary or structured mode. Never raises."""
    if record.value is None:
        return Tombstone(record.key)
    try:
        headers = _text_headers(record.headers)
        if headers.get(CONTENT_TYPE, "").startswith(STRUCTURED_TYPE):
            attributes, data = _structured(record.value)
        else:
            attributes = {name[3:]: text for name, text in headers.items() if name.startswith("ce_")}
            data = record.value
        return _received(_envelope(attributes), data)
    except _PoisonError as error:
        return error.poison


def _text_headers(headers: Headers) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, raw in headers:
        if not name.lower().startswith("ce_") and name.lower() != CONTENT_TYPE:
            continue  # Somebody else's header: whatever its bytes are, they are not ours to judge.
        if raw is None:
            raise _PoisonError("header_null", f"header {name} is null")
        try:
            texts[name.lower()] = raw.decode()
        except UnicodeDecodeError as error:
            raise _PoisonError("header_not_utf8", f"header {name} is not UTF-8") from error
    return texts


def _structured(value: bytes) -> tuple[dict[str, Any], bytes]:
    document = _json(value)
    if not isinstance(document, dict):
        raise _PoisonError("envelope_invalid", "a structured CloudEvent must be a JSON object")
    if "data" not in document:
        raise _PoisonError("data_missing", "a structured CloudEvent of ours carries its event in `data`")
    attributes = {name: content for name, content in document.items() if name != "data"}
    return attributes, json.dumps(document["data"]).encode()


def _json(value: bytes) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise _PoisonError("json_invalid", f"the value is not JSON: {error}") from error


def _envelope(attributes: dict[str, Any]) -> Envelope:
    missing = [name for name in ("specversion", "id", "source", "type") if not attributes.get(name)]
    if missing:
        raise _PoisonError("envelope_invalid", f"CloudEvents attributes are missing: {', '.join(missing)}")
    if str(attributes["specversion"]) != SPEC_VERSION:
        raise _PoisonError("envelope_invalid", f"CloudEvents {attributes['specversion']} is not understood")
    return Envelope(
        id=str(attributes["id"]),
        source=str(attributes["source"]),
        type=str(attributes["type"]),
        subject=str(attributes.get("subject") or ""),
        occurred_at=_time(attributes.get("time")),
        sequence=_integer("sequence", attributes.get("sequence")),
        generation=_integer("generation", attributes.get("generation")),
        correlation_id=_text(attributes.get("correlationid")),
        causation_id=_text(attributes.get("causationid")),
        traceparent=_text(attributes.get("traceparent")),
        actor=_text(attributes.get("actor")),
    )


_TIMESTAMP = TypeAdapter(datetime)


def _time(raw: object) -> datetime:
    if raw is None:
        raise _PoisonError("envelope_invalid", "the CloudEvents attribute `time` is missing")
    try:
        moment = _TIMESTAMP.validate_python(raw)
    except ValidationError as error:
        raise _PoisonError("envelope_invalid", f"`time` is not an RFC 3339 timestamp: {raw!r}") from error
    if moment.tzinfo is None:
        raise _PoisonError("envelope_invalid", f"`time` has no time zone: {raw!r}")
    return moment


def _integer(name: str, raw: object) -> int | None:
    if raw is None:
        return None
    text = str(raw)
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _PoisonError("envelope_invalid", f"`{name}` is not a whole number: {text[:50]!r}")
    return int(text)


def _text(raw: object) -> str | None:
    return None if raw is None else str(raw)


def _received(envelope: Envelope, data: bytes) -> Received[Event] | Unknown:
    event_type = EVENT_TYPES.get(envelope.type)
    if event_type is None:
        return Unknown(envelope)
    try:
        return Received(envelope, event_type.model_validate_json(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise _PoisonError("json_invalid", f"the value is not JSON: {first['msg']}") from error
        place = ".".join(str(part) for part in first["loc"]) or "the event"
        raise _PoisonError("event_invalid", f"{envelope.type}: {place}: {first['msg']}") from error
