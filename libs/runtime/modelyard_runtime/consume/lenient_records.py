"""Records whose header names are not UTF-8 can be read, so that one such record cannot block a partition.

Kafka says that header names are UTF-8, but a broker does not check it. aiokafka then raises from inside
the poll, for ever, without saying which record it was, and FastStream asks again, for ever: whoever may
write to a topic could stop its consumers. There is no setting for it, hence this replacement of one name
inside aiokafka. Reading goes the usual, fast way until a batch cannot be decoded; only the rest of that
batch is read by aiokafka's parser in Python, with surrogate escapes in the names.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

LENGTH_AT = 8
OVERHEAD_BYTES = 12


def read_leniently() -> None:
    """Let every aiokafka consumer of this process read records leniently. Doing it again changes nothing."""
    fetcher.MemoryRecords = LenientRecords


class LenientRecords:
    """The batches of one fetched partition; in all else as aiokafka's own."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._records = MemoryRecords(raw)
        self._batch_count = 0

    def size_in_bytes(self) -> int:
        """The size of what was fetched."""
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        has_next: bool = self._records.has_next()
        return has_next

    def next_batch(self) -> "LenientBatch | None":
        """The next batch, or None."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        self._batch_count += 1
        return LenientBatch(batch, self._raw, number=self._batch_count)


class LenientBatch:
    """One batch, the `number`th (from 1) of `raw`; everything but iterating is the wrapped batch's own."""

    def __init__(self, batch: Any, raw: bytes, *, number: int) -> None:
        self._batch = batch
        self._raw = raw
        self._number = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read_count = 0
        try:
            for record in self._batch:
                yield record
                read_count += 1
        except UnicodeDecodeError:
            yield from islice(self._reread(), read_count, None)

    def _reread(self) -> Iterator[Any]:
        start, size = 0, 0
        for _ in range(self._number):
            start += size
            (length,) = struct.unpack_from(">i", self._raw, start + LENGTH_AT)
            size = OVERHEAD_BYTES + length
        return iter(_BatchInPython(memoryview(self._raw)[start : start + size]))


class _BatchInPython(_DefaultRecordBatchPy):  # type: ignore[misc]  # aiokafka ships no types.
    _buffer: Any

    def __iter__(self) -> Iterator[Any]:
        super().__iter__()  # Decompresses.
        self._buffer = _LenientBytes(self._buffer)
        return self


class _LenientBytes(bytearray):
    """Bytes whose slices decode without ever failing."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _LenientBytes(part) if isinstance(part, bytearray) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "surrogateescape")
