"""Messages of Protocol Buffers, walked field by field without a schema and without being loaded whole."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from modelyard_registry.artifact_inspection.findings import Budget
from modelyard_registry.artifact_inspection.sources import MemorySource, PartSource, Source

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
HELD_BYTES = 32 * 1024 * 1024
_LONGEST_HEAD_BYTES = 20
_NUMBER_MAX = 2**29 - 1


class NotProtobufError(ValueError):
    """The bytes are no message."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: a `value` when its wire type is a varint, else the bytes from `start` to `end`."""

    number: int
    wire: int
    value: int
    start: int
    end: int


def fields(source: Source, *, budget: Budget, runs: "re.Pattern[bytes] | None" = None) -> Iterator[Field]:
    """The fields of a message, in order. Raises NotProtobufError or TooMuchWorkError.

    `runs` finds fields of no interest, which are left out at once when the message is in memory: a tree of
    decisions holds millions of numbers, each a field of its own.
    """
    offset = 0
    while offset < source.size:
        run = runs.match(source.content, offset) if runs is not None and isinstance(source, MemorySource) else None
        if run is not None:
            offset = run.end()
            continue
        budget.spend_step()
        head = source.read_at(offset, _LONGEST_HEAD_BYTES)
        tag, taken = _varint(head, 0)
        number, wire = tag >> 3, tag & 7
        if not 0 < number <= _NUMBER_MAX:
            raise NotProtobufError("a field without a number")
        value = 0
        start = offset + taken
        if wire == VARINT:
            value, taken = _varint(head, taken)
            end = offset + taken
        elif wire == BYTES:
            length, taken = _varint(head, taken)
            start, end = offset + taken, offset + taken + length
        elif wire in (FIXED64, FIXED32):
            end = start + (8 if wire == FIXED64 else 4)
        else:
            raise NotProtobufError(f"wire type {wire}")
        if end > source.size:
            raise NotProtobufError("a field that ends behind its message")
        yield Field(number, wire, value, start, end)
        offset = end


def message(source: Source, field: Field) -> Source:
    """What a field holds, as a source of its own. Raises NotProtobufError unless it has bytes."""
    if field.wire != BYTES:
        raise NotProtobufError(f"field {field.number} is no message")
    if field.end - field.start <= HELD_BYTES:
        return MemorySource(source.read_at(field.start, field.end - field.start))
    return PartSource(source, start=field.start, size=field.end - field.start)


def text(source: Source, field: Field, *, bytes_max: int = 4_096) -> str:
    """What a field holds as text. Raises NotProtobufError when it is too long, or not UTF-8."""
    if field.wire != BYTES or field.end - field.start > bytes_max:
        raise NotProtobufError(f"field {field.number} is no short text")
    try:
        return source.read_at(field.start, field.end - field.start).decode()
    except UnicodeDecodeError:
        raise NotProtobufError(f"field {field.number} is not UTF-8") from None


def _varint(head: bytes, start: int) -> tuple[int, int]:
    value = shift = 0
    for position in range(start, min(len(head), start + 10)):
        byte = head[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    raise NotProtobufError("a number that does not end")
