"""Records that are not events: parked byte for byte, ignored, or passed over, and never in the way."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from aiokafka.producer import message_accumulator, producer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from modelyard_events.topics import Kind
from modelyard_runtime.consume import Batch, Delivery
from modelyard_runtime.consume.metrics import CONSUMED

from tests.integration.runtime.corner import Corner, OpenCorner, eventually, number_of, text_headers

pytestmark = pytest.mark.integration

GOOD: list[tuple[str, bytes | None]] = [
    ("content-type", b"application/json"),
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_source", b"/test"),
    ("ce_type", b"entity.changed.v1"),
    ("ce_time", b"2026-11-21T10:00:00+00:00"),
]

POISON: dict[str, tuple[bytes, list[tuple[str, bytes | None]]]] = {
    "json_invalid": (b'{"tenant": ', GOOD),
    "event_invalid": (b'{"tenant": "acme"}', GOOD),
    "header_null": (b"{}", [*GOOD, ("ce_subject", None)]),
    "header_not_utf8": (b"{}", [*GOOD, ("ce_subject", b"\xff\xfe"), ("foreign", None), ("other", b"\x80")]),
    "envelope_invalid": (b"\x00\xff binary \x80", []),
    "unknown_type": (b"{}", [(name, b"nobody.knows.v9" if name == "ce_type" else raw) for name, raw in GOOD]),
}


class Seen:
    """A handler that remembers the numbers it was given."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    async def on_entity_changed(self, delivery: Delivery[Any]) -> None:
        self.numbers.append(number_of(delivery.event))


@pytest.mark.parametrize("reason", POISON)
async def test_poison_is_parked_byte_for_byte_and_the_next_record_is_handled(corner: Corner, reason: str) -> None:
    value, headers = POISON[reason]
    seen = Seen()

    await corner.send(value, key=b"\x00 a key \xff", headers=headers)
    await corner.publish(1)
    async with corner.consuming(seen.on_entity_changed):
        await eventually(lambda: seen.numbers == [1])
        await corner.eventually_committed(2)

    (letter,) = await corner.dead_letters(count=1)
    assert (letter.key, letter.value) == (b"\x00 a key \xff", value)
    assert list(letter.headers[: len(headers)]) == headers
    assert text_headers(letter)["reason"] == reason


async def test_a_parked_record_that_was_put_back_and_fails_again_has_its_origin_once(corner: Corner) -> None:
    async with corner.consuming(Seen().on_entity_changed):
        await corner.send(b"{", headers=GOOD)
        (first,) = await corner.dead_letters(count=1)

        await corner.send(first.value, key=first.key, headers=list(first.headers))
        _, second = await corner.dead_letters(count=2)

    names = [name for name, _ in second.headers]
    assert len(names) == len(set(names))
    assert text_headers(second)["offset"] == "1"


async def test_an_unknown_type_on_a_topic_of_ours_is_ignored_and_counted(a_corner: OpenCorner) -> None:
    corner = await a_corner(kind=Kind.FACTS)
    value, headers = POISON["unknown_type"]
    seen = Seen()

    await corner.send(value, headers=headers)
    await corner.publish(1)
    async with corner.consuming(seen.on_entity_changed):
        await eventually(lambda: seen.numbers == [1])
        await corner.eventually_committed(2)

    assert await corner.dead_letter_count() == 0
    assert _consumed(corner, "unknown") == 1


async def test_a_tombstone_is_passed_over_and_counted(corner: Corner) -> None:
    seen = Seen()

    await corner.send(None, key=b"acme/loan/1")
    await corner.publish(1)
    await corner.send(None, key=b"acme/loan/2")
    async with corner.consuming(seen.on_entity_changed):
        await corner.eventually_committed(3)

    assert seen.numbers == [1]
    assert await corner.dead_letter_count() == 0
    assert _consumed(corner, "tombstone") == 2


async def test_a_batch_covers_the_records_that_are_not_in_it(corner: Corner) -> None:
    batches: list[Batch] = []

    async def on_batch(batch: Batch) -> None:
        batches.append(batch)

    await corner.send(b"{", headers=GOOD)
    await corner.publish(1, 2)
    await corner.send(None, key=b"k")
    async with corner.consuming_batches(on_batch):
        await corner.eventually_committed(4)
        await corner.send(None, key=b"k")
        await corner.eventually_committed(5)

    numbers = [number_of(delivery.event) for batch in batches for delivery in batch.deliveries]
    assert numbers == [1, 2]
    assert batches[0].first_offset == 0
    assert batches[-1] == Batch(deliveries=(), topic=corner.topic_name, partition=0, first_offset=4, next_offset=5)
    edges = [(batch.first_offset, batch.next_offset) for batch in batches]
    assert all(after[0] == before[1] for before, after in pairwise(edges))
    assert await corner.dead_letter_count() == 1


async def test_a_record_too_large_to_take_more_headers_is_parked_all_the_same(corner: Corner) -> None:
    value = b"x" * (1_048_576 - 200)  # As large as the topic takes.
    seen = Seen()

    await corner.send(value)
    await corner.publish(1)
    async with asyncio.timeout(30), corner.consuming(seen.on_entity_changed):
        await corner.eventually_committed(2)

    (letter,) = await corner.dead_letters(count=1)
    assert letter.value == value


async def test_a_header_name_that_is_not_utf8_does_not_block_the_partition(
    corner: Corner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # aiokafka's fast writer insists on UTF-8; other clients do not, and neither does its writer in Python.
    monkeypatch.setattr(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    monkeypatch.setattr(producer, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy, raising=False)
    seen = Seen()

    await asyncio.gather(
        corner.publish(1),
        corner.send(b"not an event", key=b"k", headers=[(NotUtf8("?"), b"a value")]),
        corner.publish(2, 3),
    )
    async with corner.consuming(seen.on_entity_changed):
        await corner.eventually_committed(4)

    (letter,) = await corner.dead_letters(count=1)
    assert seen.numbers == [1, 2, 3]
    assert (letter.key, letter.value) == (b"k", b"not an event")
    assert letter.headers[0] == ("\\udcff\\udcfe", b"a value")


class NotUtf8(str):
    """A header name that is written as bytes that are not UTF-8."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


def _consumed(corner: Corner, outcome: str) -> float:
    value = CONSUMED.labels(corner.topic.name, corner.group, outcome)._value.get()
    assert isinstance(value, float)
    return value
