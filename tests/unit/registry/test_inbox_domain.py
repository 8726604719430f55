"""How many facts their sources counted and nobody received."""

from datetime import UTC, datetime

from modelyard_events.envelope import Envelope
from modelyard_registry.inbox.domain import count_missing


def an_envelope(sequence: int | None, *, source: str = "/router/a") -> Envelope:
    occurred_at = datetime(2026, 1, 1, tzinfo=UTC)
    return Envelope(id="1", source=source, type="t", subject="k", occurred_at=occurred_at, sequence=sequence)


def test_a_gap_in_the_numbers_of_a_source_is_counted() -> None:
    assert count_missing([an_envelope(1), an_envelope(4), an_envelope(5)], last_sequences={}) == (2, {"/router/a": 5})


def test_the_gap_begins_after_the_last_known_number() -> None:
    known = {"/router/a": 3}

    assert count_missing([an_envelope(4)], last_sequences=known) == (0, {"/router/a": 4})
    assert count_missing([an_envelope(7), an_envelope(6)], last_sequences=known) == (2, {"/router/a": 7})


def test_repeated_late_and_unnumbered_facts_leave_no_gap() -> None:
    envelopes = [an_envelope(4), an_envelope(4), an_envelope(3), an_envelope(2), an_envelope(None)]

    assert count_missing(envelopes, last_sequences={"/router/a": 3}) == (0, {"/router/a": 4})


def test_sources_are_counted_apart() -> None:
    envelopes = [an_envelope(2), an_envelope(3, source="/router/b")]

    assert count_missing(envelopes, last_sequences={}) == (3, {"/router/a": 2, "/router/b": 3})
