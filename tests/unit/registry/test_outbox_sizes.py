"""A row of the outbox is refused when its key and headers would not fit a record, however small its payload is."""

from datetime import UTC, datetime
from typing import Any

import pytest
from modelyard_events.entities import EntityChanged
from modelyard_events.topics import ENTITY_CHANGES
from modelyard_registry.transactions.outbox_rows import (
    FIXED_BYTES,
    FRAMING_BYTES_MAX,
    EventTooLargeError,
    Origin,
    OutboxRow,
)

EVENT = EntityChanged(tenant="CA", entity_type="loan", entity_id="1")
MANY = FRAMING_BYTES_MAX - FIXED_BYTES


def a_row(*, key: str = "k", **origin: Any) -> OutboxRow:
    given = {"actor": "a", "correlation_id": None, "causation_id": None, **origin}
    return OutboxRow.of(
        EVENT,
        topic=ENTITY_CHANGES,
        key=key,
        event_id="i",
        sequence=1,
        origin=Origin(occurred_at=datetime(2026, 3, 3, tzinfo=UTC), **given),
    )


@pytest.mark.parametrize(
    ("large", "named"),
    [
        ({"key": "x" * (MANY // 2)}, "the key"),
        ({"actor": "x" * MANY}, "the actor"),
        ({"correlation_id": "x" * MANY}, "the correlation id"),
    ],
)
def test_a_small_event_with_too_large_a_key_or_headers_is_refused_by_the_name_of_the_longest(
    large: dict[str, str], named: str
) -> None:
    with pytest.raises(EventTooLargeError) as refused:
        a_row(**large)

    assert named in refused.value.fix


def test_all_headers_count_together_and_by_their_bytes_in_utf_8() -> None:
    third = MANY // 3

    assert a_row(actor="x" * (third - 10), correlation_id="x" * third, causation_id="x" * third)
    with pytest.raises(EventTooLargeError):
        a_row(actor="x" * (third + 10), correlation_id="x" * third, causation_id="x" * third)
    with pytest.raises(EventTooLargeError):
        a_row(actor="\u00fc" * (MANY // 2 + 1))
