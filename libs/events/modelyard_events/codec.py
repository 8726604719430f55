"""Events to Kafka records and back: CloudEvents 1.0, binary mode; structured mode is understood too.

Decoding never raises. What cannot be read becomes a `Poison` value that says why, so that one bad
record can be parked while the next one is read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from modelyard_events.attributes import SPEC_VERSION, AttributesRefusedError, envelope_of
from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.ingest import NODES_MAX
from modelyard_events.limits import ERROR_SHOWN_CHARS_MAX
from modelyard_events.record import Record, find_excess
from modelyard_events.strict_json import JsonRefusedError, read_json
from modelyard_events.topics import EVENT_TYPES

__all__ = [
    "CONTENT_TYPE",
    "Decoded",
    "Poison",
    "Received",
    "Record",
    "Tombstone",
    "Unknown",
    "decode",
    "decode_measured",
    "encode",
    "headers_of",
]

CONTENT_TYPE = "content-type"
JSON_TYPE = "application/json"
STRUCTURED_TYPE = "application/cloudevents+json"
DETAIL_CHARS_MAX = 1_000
_CONTENT_TYPE_HEADER = (CONTENT_TYPE, JSON_TYPE.encode())
_SPEC_VERSION_HEADER = ("ce_specversion", SPEC_VERSION.encode())

E = TypeVar("E", bound=Event)

Headers = Sequence[tuple[str, bytes | None]]


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
        self.poison = Poison(reason, detail[:DETAIL_CHARS_MAX])


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
        _CONTENT_TYPE_HEADER,
        _SPEC_VERSION_HEADER,
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
    """What a record says, in binary or structured mode. Never raises, and takes time linear in the record's size.

    The Kafka key is not compared with the event: it says which partition the record is on, and nothing else.
    """
    if record.value is not None and (excess := find_excess(record)) is not None:
        return Poison("record_too_large", excess)
    return decode_measured(record)


def decode_measured(record: Record) -> Decoded:
    """As `decode`, for a record that `find_excess` found to be small enough."""
    if record.value is None:
        return Tombstone(record.key)
    try:
        headers = _text_headers(record.headers)
        if not _is_structured(headers):
            return _received(_envelope(headers, prefix="ce_"), record.value)
        attributes, data = _structured(record.value)
        return _received(_envelope(attributes), data)
    except _PoisonError as error:
        return error.poison


def _is_structured(headers: dict[str, str]) -> bool:
    content_type = headers.get(CONTENT_TYPE, JSON_TYPE)
    if content_type == JSON_TYPE:
        return False
    media_type, _, parameters = content_type.lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    if charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=us-ascii"):
        raise _PoisonError("content_type_unknown", f"events are written in UTF-8, not in {_shown(parameters)}")
    match media_type.strip():
        case found if found == STRUCTURED_TYPE:
            return True
        case found if found == JSON_TYPE:
            return False
        case other:
            raise _PoisonError(
                "content_type_unknown",
                f"{_shown(other)} is not understood; send {CONTENT_TYPE} {JSON_TYPE}, or {STRUCTURED_TYPE}",
            )


def _text_headers(headers: Headers) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, raw in headers:
        lower = name.lower()
        if not lower.startswith("ce_") and lower != CONTENT_TYPE:
            continue  # Somebody else's header: whatever its bytes are, they are not ours to judge.
        if lower in texts:
            raise _PoisonError("header_twice", f"the header {_shown(lower)} is there twice")
        if raw is None:
            raise _PoisonError("header_null", f"header {_shown(name)} is null")
        try:
            texts[lower] = raw.decode()
        except UnicodeDecodeError as error:
            raise _PoisonError("header_not_utf8", f"header {_shown(name)} is not UTF-8") from error
    return texts


def _structured(value: bytes) -> tuple[dict[str, Any], bytes]:
    document = _json(value)
    if not isinstance(document, dict):
        raise _PoisonError("envelope_invalid", "a structured CloudEvent must be a JSON object")
    if "data" not in document:
        raise _PoisonError("data_missing", "a structured CloudEvent of ours carries its event in `data`")
    attributes = {name: content for name, content in document.items() if name != "data"}
    if attributes.get("datacontenttype", JSON_TYPE) != JSON_TYPE:
        raise _PoisonError("content_type_unknown", f"`datacontenttype` must be {JSON_TYPE}, or left out")
    try:
        return attributes, json.dumps(document["data"]).encode()
    except RecursionError as error:
        raise _PoisonError("json_invalid", "the value is nested too deeply") from error


def _json(value: bytes) -> Any:
    try:
        return read_json(value, nodes_max=NODES_MAX)
    except JsonRefusedError as error:
        raise _PoisonError("json_invalid", f"the value is not the JSON that is wanted: {error}") from error


def _envelope(attributes: Mapping[str, object], *, prefix: str = "") -> Envelope:
    try:
        return envelope_of(attributes, prefix=prefix)
    except AttributesRefusedError as error:
        raise _PoisonError("envelope_invalid", str(error)) from error


def _received(envelope: Envelope, data: bytes) -> Received[Event] | Unknown:
    event_type = EVENT_TYPES.get(envelope.type)
    if event_type is None:
        return Unknown(envelope)
    try:
        return Received(envelope, event_type.from_json(data))
    except JsonRefusedError as error:
        raise _PoisonError("json_invalid", f"the value is not the JSON that is wanted: {error}") from error
    except ValidationError as error:
        raise _refusal_of(error, envelope) from error


def _refusal_of(error: ValidationError, envelope: Envelope) -> _PoisonError:
    first = error.errors(include_url=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return _PoisonError("json_invalid", f"the value is not JSON: {first['msg']}")
    place = ".".join(str(part) for part in first["loc"]) or "the event"
    if first["type"] == "extra_forbidden":
        return _PoisonError("event_invalid", f"{envelope.type}: {_shown(place)} is not a field of this event")
    return _PoisonError(
        "event_invalid", f"{envelope.type}: {place}: {first['msg']}; what came is {_shown(str(first['input']))}"
    )


def _shown(text: str) -> str:
    return ascii(text[:ERROR_SHOWN_CHARS_MAX])
