"""A Kafka record, and how large it may be: measured before anything in it is read."""

from dataclasses import dataclass

from modelyard_events.limits import (
    PAYLOAD_BYTES_MAX,
    RECORD_HEADERS_BYTES_MAX,
    RECORD_HEADERS_MAX,
    RECORD_KEY_BYTES_MAX,
)

BATCH_OVERHEAD_BYTES = 61
RECORD_OVERHEAD_BYTES = 32
HEADER_OVERHEAD_BYTES = 10
"""Kafka writes lengths as variable integers of at most five bytes, two for each header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A Kafka record's key, value and headers, as bytes."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def find_excess(record: Record) -> str | None:
    """What of a record is larger than any event needs, as a sentence; None when nothing is. Never raises."""
    if len(record.headers) > RECORD_HEADERS_MAX:
        return f"the record has {len(record.headers)} headers; {RECORD_HEADERS_MAX} are the most"
    if (size := headers_bytes(record)) > RECORD_HEADERS_BYTES_MAX:
        return f"the headers have {size} bytes; {RECORD_HEADERS_BYTES_MAX} are the most"
    if (size := len(record.key or b"")) > RECORD_KEY_BYTES_MAX:
        return f"the key has {size} bytes; {RECORD_KEY_BYTES_MAX} are the most"
    if (size := len(record.value or b"")) > PAYLOAD_BYTES_MAX:
        return f"the value has {size} bytes; {PAYLOAD_BYTES_MAX} are the most"
    return None


def headers_bytes(record: Record) -> int:
    """The bytes of all names and values of the headers."""
    # Every record is measured, in and out: a loop takes a third of the time of a generator, and names are ASCII.
    size = 0
    for name, value in record.headers:
        size += len(name) if name.isascii() else len(name.encode(errors="surrogateescape"))
        if value:
            size += len(value)
    return size


def batch_bytes(record: Record) -> int:
    """An upper bound of what a batch of this one record takes on the wire, which is what a broker's limit is about."""
    framing = BATCH_OVERHEAD_BYTES + RECORD_OVERHEAD_BYTES + HEADER_OVERHEAD_BYTES * len(record.headers)
    return framing + len(record.key or b"") + len(record.value or b"") + headers_bytes(record)
