"""Bytes that are looked at by ranges: stored ones, those in memory, and a part of either."""

import asyncio
import io
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol

from modelyard_registry.artifact_inspection.findings import TooMuchWorkError
from modelyard_registry.artifact_stores.ports import store_unavailable

BLOCK_BYTES = 256 * 1024
BLOCKS_MAX = 32
READ_TIMEOUT_S = 60.0
READ_BYTES_MAX = 16 * 1024 * 1024

ReadRange = Callable[[int, int], Awaitable[bytes]]
"""Reads from an offset so many bytes, fewer at the end."""


class Source(Protocol):
    """Bytes of a known number that can be read at any offset."""

    size: int

    def read_at(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`: fewer at the end."""
        ...


class MemorySource:
    """Bytes in memory."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.size = len(content)

    def read_at(self, offset: int, count: int) -> bytes:
        """See `Source`."""
        return self.content[offset : offset + count]


class PartSource:
    """A part of another source, as if it were all there is."""

    def __init__(self, source: Source, *, start: int, size: int) -> None:
        self._source, self._start = source, start
        self.size = max(0, min(size, source.size - start))

    def read_at(self, offset: int, count: int) -> bytes:
        """See `Source`."""
        return self._source.read_at(self._start + offset, max(0, min(count, self.size - offset)))


class FileSource:
    """A file on the disk, which nobody else reads meanwhile."""

    def __init__(self, file: io.IOBase, *, size: int) -> None:
        self._file = file
        self.size = size

    def read_at(self, offset: int, count: int) -> bytes:
        """See `Source`."""
        self._file.seek(offset)
        return bytes(self._file.read(count))


class StoredSource:
    """Bytes in an artifact store, read from a thread other than the event loop's, in blocks that are kept."""

    def __init__(self, read_range: ReadRange, *, size: int, loop: asyncio.AbstractEventLoop) -> None:
        self._read_range = read_range
        self._loop = loop
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.size = size

    def read_at(self, offset: int, count: int) -> bytes:
        """See `Source`."""
        end = min(offset + count, self.size)
        parts = []
        while offset < end:
            block, within = divmod(offset, BLOCK_BYTES)
            content = self._block(block)[within : within + end - offset]
            if not content:
                break
            parts.append(content)
            offset += len(content)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _block(self, number: int) -> bytes:
        known = self._blocks.get(number)
        if known is not None:
            self._blocks.move_to_end(number)
            return known
        reading = self._read(number * BLOCK_BYTES)
        try:
            content = asyncio.run_coroutine_threadsafe(reading, self._loop).result(timeout=READ_TIMEOUT_S)
        except TimeoutError:
            raise store_unavailable("it does not answer") from None
        self._blocks[number] = content
        if len(self._blocks) > BLOCKS_MAX:
            self._blocks.popitem(last=False)
        return content

    async def _read(self, offset: int) -> bytes:
        return await self._read_range(offset, min(BLOCK_BYTES, self.size - offset))


class SourceFile(io.RawIOBase):
    """A source as a file object, for readers that want one."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Let the next read begin there."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}[whence]
        if start + offset < 0:
            raise ValueError("a position before the beginning")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Read what fits into the buffer."""
        content = self._source.read_at(self._position, len(buffer))
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


class BoundedReader(io.BufferedReader):
    """A buffered file of which nobody gets more than `READ_BYTES_MAX` at once, whatever a header says."""

    def __init__(self, source: Source) -> None:
        super().__init__(SourceFile(source))
        self._size = source.size

    def read(self, size: int | None = -1, /) -> bytes:
        """Like any file's. Raises TooMuchWorkError."""
        wanted = max(0, self._size - self.tell()) if size is None or size < 0 else size
        if wanted > READ_BYTES_MAX:
            raise TooMuchWorkError("a part of it that must be held in memory is too large")
        return super().read(wanted)


def file_of(source: Source) -> BoundedReader:
    """The source as a buffered file."""
    return BoundedReader(source)
