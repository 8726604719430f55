"""An event survives the wire, and whatever else arrives is named, never raised."""

import json
from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_kafka_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.codec import Poison, Received, Record, Tombstone, Unknown, decode, encode
from modelyard_events.entities import EntityChanged
from modelyard_events.envelope import Envelope
from modelyard_events.invalidations import EntityPurged
from modelyard_events.limits import MOMENT_MAX, MOMENT_MIN

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
CHANGE = EntityChanged(tenant="CA", entity_type="loan", entity_id="4711", version=3)


def an_envelope(**attributes: object) -> Envelope:
    known: dict[str, object] = {
        "id": "01998a14-0000-7000-8000-000000000001",
        "source": "/loan-book",
        "type": EntityChanged.type,
        "subject": "CA/loan/4711",
        "occurred_at": NOON,
    }
    return Envelope(**{**known, **attributes})  # type: ignore[arg-type]  # A builder of partial attributes.


def a_record(*, value: bytes | None = b"{}", **headers: bytes | None) -> Record:
    whole = dict(encode(CHANGE, an_envelope()).headers) | headers
    return Record(key=b"CA/loan/4711", value=value, headers=tuple(whole.items()))


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)


@given(
    entity_id=TEXT,
    version=st.none() | st.integers(0, 2**53),
    sequence=st.none() | st.integers(0, 10**18 - 1),
    correlation_id=st.none() | TEXT,
    actor=st.none() | TEXT,
    occurred_at=st.datetimes(MOMENT_MIN.replace(tzinfo=None), MOMENT_MAX.replace(tzinfo=None), timezones=st.just(UTC)),
)
def test_what_was_said_is_what_is_heard(
    entity_id: str,
    version: int | None,
    sequence: int | None,
    correlation_id: str | None,
    actor: str | None,
    occurred_at: datetime,
) -> None:
    event = EntityChanged(tenant="CA", entity_type="loan", entity_id=entity_id, version=version)
    envelope = an_envelope(
        sequence=sequence, correlation_id=correlation_id, actor=actor, occurred_at=occurred_at, generation=2
    )

    assert decode(encode(event, envelope)) == Received(envelope, event)


@given(
    value=st.none() | st.binary(max_size=200),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["ce_id", "ce_type", "ce_time", "ce_sequence", "content-type", "x"]),
            st.none() | st.binary(max_size=30) | st.sampled_from([b"application/cloudevents+json", b"1.0"]),
        ),
        max_size=8,
    ),
)
def test_no_record_makes_decoding_raise(value: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
    decode(Record(key=None, value=value, headers=tuple(headers)))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (a_record(value=b"{not json"), "json_invalid"),
        (a_record(value=b"[" * 100_000), "json_invalid"),
        (a_record(value=b"\xff\xfe"), "json_invalid"),
        (a_record(value=b"{}"), "event_invalid"),
        (a_record(ce_id=None), "header_null"),
        (a_record(ce_source=b"\xff\xfe"), "header_not_utf8"),
        (a_record(ce_specversion=b"0.3"), "envelope_invalid"),
        (a_record(ce_time=b"yesterday"), "envelope_invalid"),
        (a_record(ce_time=b"2026-03-03T12:00:00"), "envelope_invalid"),
        (a_record(ce_sequence=b"-1"), "envelope_invalid"),
        (Record(key=None, value=b"{}", headers=()), "envelope_invalid"),
    ],
)
def test_an_unreadable_record_says_why(record: Record, reason: str) -> None:
    decoded = decode(record)

    assert isinstance(decoded, Poison)
    assert decoded.reason == reason
    assert decoded.detail


def test_a_null_value_is_a_tombstone() -> None:
    assert decode(a_record(value=None)) == Tombstone(b"CA/loan/4711")


def test_a_type_that_nobody_knows_is_not_poison() -> None:
    decoded = decode(a_record(ce_type=b"entity.renamed.v9"))

    assert isinstance(decoded, Unknown)
    assert decoded.envelope.type == "entity.renamed.v9"


def test_headers_of_others_are_never_judged() -> None:
    value = encode(CHANGE, an_envelope()).value

    decoded = decode(a_record(value=value, b3=b"\xff\xfe", traced=None))

    assert isinstance(decoded, Received)


def test_fields_of_a_newer_producer_of_ours_are_ignored() -> None:
    purged = EntityPurged(
        tenant="CA",
        entity_type="loan",
        entity_id="4711",
        purged_entries=1,
        caused_by="change-1",
        version=None,
        actor=None,
    )
    value = json.dumps({**purged.model_dump(), "mood": "sunny"}).encode()

    decoded = decode(a_record(value=value, ce_type=EntityPurged.type.encode()))

    assert decoded == Received(an_envelope(type=EntityPurged.type), purged)


def an_outsiders_event() -> CloudEvent:
    return CloudEvent(
        attributes={
            "id": "change-1",
            "source": "/loan-book",
            "type": "entity.changed.v1",
            "subject": "CA/loan/4711",
            "time": NOON,
            "datacontenttype": "application/json",
            "partitionkey": "CA/loan/4711",
        },
        data={"tenant": "CA", "entity_type": "loan", "entity_id": "4711", "version": 3},
    )


def as_record(message: KafkaMessage) -> Record:
    key = message.key.encode() if isinstance(message.key, str) else message.key
    return Record(key=key, value=message.value, headers=tuple(message.headers.items()))


@pytest.mark.parametrize("write", [to_binary_event, to_structured_event])
def test_an_event_made_with_the_cloudevents_package_is_understood(write: object) -> None:
    message = write(an_outsiders_event(), JSONFormat())  # type: ignore[operator]  # Both have this signature.

    decoded = decode(as_record(message))

    assert isinstance(decoded, Received), decoded
    assert decoded.event == CHANGE
    assert decoded.envelope.id == "change-1"
    assert decoded.envelope.occurred_at == NOON


def test_our_events_are_understood_by_the_cloudevents_package() -> None:
    record = encode(CHANGE, an_envelope(sequence=7, actor="ada"))
    message = KafkaMessage(
        headers={name: value for name, value in record.headers if value is not None},
        key=record.key,
        value=record.value or b"",
    )

    heard = from_kafka_event(message, JSONFormat())

    assert heard.get_type() == "entity.changed.v1"
    assert heard.get_subject() == "CA/loan/4711"
    assert heard.get_extension("sequence") == "7"
    assert heard.get_data() == CHANGE.model_dump(mode="json")
