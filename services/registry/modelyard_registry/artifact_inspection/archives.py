"""Archives and compressed files: each entry is looked at as a file of its own, in bounded depth and size."""

import bz2
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from modelyard_registry.artifact_inspection.findings import MIB, Budget, Finding, TooMuchWorkError
from modelyard_registry.artifact_inspection.formats import Format
from modelyard_registry.artifact_inspection.sources import FileSource, PartSource, Source, file_of

INFLATED_BYTES_MAX = 256 * MIB
"""What one compressed entry may inflate to."""

XZ_MEMORY_BYTES_MAX = 96 * MIB
DIRECTORY_BYTES_MAX = 4 * MIB
HELD_BYTES = MIB
CHUNK_BYTES = 256 * 1024

_END = b"PK\x05\x06"
_END_BYTES, _COMMENT_BYTES_MAX = 22, 65_535
_DIRECTORY_ENTRY = b"PK\x01\x02"
_LOCAL_HEADER_BYTES = 30
_DESCRIPTOR_BYTES_MAX = 24
_MAX_64 = 0xFFFFFFFF


class Decompressor(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool:
        """Whether the compressed stream has ended."""
        ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """At most `max_length` of the bytes that `data` stands for."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveEntry:
    """One file of an archive; `source` is None for one that cannot be looked at, and `why` says so."""

    path: str
    source: Source | None
    why: str | None = None


def has_zip_at_end(source: Source) -> bool:
    """Whether readers that look for a zip archive at the end of a file find one, however the file begins."""
    tail_start = max(0, source.size - _END_BYTES - _COMMENT_BYTES_MAX)
    tail = source.read_at(tail_start, _END_BYTES + _COMMENT_BYTES_MAX)
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + _END_BYTES:
        return False
    directory_bytes = int.from_bytes(tail[at + 12 : at + 16], "little")
    directory = tail_start + at - directory_bytes
    # Of a large archive (zip64) the real size stands elsewhere: that there is such an end is enough then.
    return directory_bytes in (0, _MAX_64) or source.read_at(max(0, directory), 4) == _DIRECTORY_ENTRY


def zip_entries(source: Source, *, budget: Budget) -> Iterator[ArchiveEntry]:
    """The files of a zip archive, as its central directory lists them.

    Raises zipfile.BadZipFile, or TooMuchWorkError.
    """
    _refuse_large_directory(source)
    with zipfile.ZipFile(file_of(source)) as archive:
        if _has_unlisted_bytes(archive.infolist(), source, directory=archive.start_dir):
            yield ArchiveEntry(path="", source=None, why="The archive has bytes that no entry of its directory lists.")
        seen: set[str] = set()
        for info in archive.infolist():
            budget.spend_entry()
            if info.filename in seen:
                yield ArchiveEntry(path=info.filename, source=None, why="The archive has two entries of this name.")
                continue
            seen.add(info.filename)
            if not info.is_dir() or info.file_size:
                yield from _zip_entry(archive, info, source, budget=budget)


def _zip_entry(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: Source, *, budget: Budget
) -> Iterator[ArchiveEntry]:
    path = info.filename
    if info.flag_bits & 0x1:
        yield ArchiveEntry(path=path, source=None, why="The entry is encrypted.")
        return
    if info.external_attr >> 28 == 0xA:
        yield ArchiveEntry(path=path, source=None, why="The entry is a link.")
        return
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield ArchiveEntry(path=path, source=None, why="The entry is compressed in a way that is not looked into.")
        return
    with archive.open(info) as opened:  # It compares the entry's own header with the directory.
        if info.compress_type == zipfile.ZIP_STORED:
            header = source.read_at(info.header_offset, _LOCAL_HEADER_BYTES)
            names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
            start = info.header_offset + _LOCAL_HEADER_BYTES + names
            yield ArchiveEntry(path=path, source=PartSource(source, start=start, size=info.file_size))
            return
        with tempfile.SpooledTemporaryFile(max_size=HELD_BYTES) as kept:
            size = _copied(opened.read, kept, budget=budget)
            yield ArchiveEntry(path=path, source=FileSource(kept, size=size))


def _has_unlisted_bytes(entries: list[zipfile.ZipInfo], source: Source, *, directory: int) -> bool:
    """Whether there is room between the entries for others, which readers find that go without the directory."""
    end = 0
    for info in sorted(entries, key=lambda entry: entry.header_offset):
        if info.header_offset > end + _DESCRIPTOR_BYTES_MAX:
            return True
        header = source.read_at(info.header_offset, _LOCAL_HEADER_BYTES)
        names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        end = max(end, info.header_offset + _LOCAL_HEADER_BYTES + names + info.compress_size)
    return directory > end + _DESCRIPTOR_BYTES_MAX


def _refuse_large_directory(source: Source) -> None:
    tail_start = max(0, source.size - _END_BYTES - _COMMENT_BYTES_MAX)
    tail = source.read_at(tail_start, _END_BYTES + _COMMENT_BYTES_MAX)
    at = tail.rfind(_END)
    if at < 0:
        raise zipfile.BadZipFile("no end of central directory")
    directory_bytes = int.from_bytes(tail[at + 12 : at + 16], "little")
    if directory_bytes == _MAX_64 or tail[at + 10 : at + 12] == b"\xff\xff":
        end64 = tail.rfind(b"PK\x06\x06", 0, at)
        directory_bytes = int.from_bytes(tail[end64 + 40 : end64 + 48], "little") if end64 >= 0 else _MAX_64
    if directory_bytes > DIRECTORY_BYTES_MAX:
        raise TooMuchWorkError("its directory is larger than what is looked at")


def tar_entries(source: Source, *, budget: Budget) -> Iterator[ArchiveEntry]:
    """The files of a tar archive that is not compressed. Raises tarfile.TarError or TooMuchWorkError."""
    with tarfile.TarFile(fileobj=file_of(source), errorlevel=2) as archive:
        for info in archive:
            budget.spend_entry()
            if info.isdir():
                continue
            if info.sparse is not None or not info.isfile():
                yield ArchiveEntry(
                    path=info.name, source=None, why="The entry is a link, a device or a file with holes."
                )
            elif info.offset_data + info.size > source.size:
                raise tarfile.ReadError("an entry ends behind the archive")
            else:
                yield ArchiveEntry(path=info.name, source=PartSource(source, start=info.offset_data, size=info.size))


def inflate(source: Source, kept: IO[bytes], *, format_: Format, budget: Budget) -> Source:
    """What a compressed file stands for, in `kept`.

    Raises ValueError, OSError, zlib.error or lzma.LZMAError when it is damaged, TooMuchWorkError when it is too large.
    """
    starts = _DECOMPRESSORS.get(format_)
    if starts is None:
        raise ValueError(f"{format_} cannot be inflated here")
    file = file_of(source)
    start, size = starts, 0
    pending = file.read(CHUNK_BYTES)
    while pending:  # Each member of a file of several.
        decompressor = start()
        while not decompressor.eof:
            inflated = decompressor.decompress(pending, CHUNK_BYTES)
            size += len(inflated)
            _spend(size, len(inflated), budget=budget)
            kept.write(inflated)
            pending = getattr(decompressor, "unconsumed_tail", b"")
            if not pending and not inflated and not decompressor.eof:
                pending = file.read(CHUNK_BYTES)
                if not pending:
                    raise EOFError("it ends in the middle")
        pending = getattr(decompressor, "unused_data", b"") or file.read(CHUNK_BYTES)
        if format_ is Format.ZLIB and pending:
            raise ValueError("bytes behind its end")
    return FileSource(kept, size=size)  # type: ignore[arg-type]


def _copied(read: Callable[[int], bytes], kept: IO[bytes], *, budget: Budget) -> int:
    size = 0
    while chunk := read(CHUNK_BYTES):
        size += len(chunk)
        _spend(size, len(chunk), budget=budget)
        kept.write(chunk)
    return size


def _spend(size: int, count: int, *, budget: Budget) -> None:
    if size > INFLATED_BYTES_MAX:
        raise TooMuchWorkError("it inflates to more than is looked at")
    budget.spend_inflated(count)


def name_fault(path: str) -> Finding | None:
    """A finding when an entry of this name would be written outside the archive's own folder."""
    parts = path.replace("\\", "/").split("/")
    if not path or parts[0] == "" or ".." in parts or ":" in parts[0] or any(ord(letter) < 32 for letter in path):
        return Finding.of(path, "An entry of this name leads out of the archive.")
    return None


def _gzip() -> Decompressor:
    return zlib.decompressobj(wbits=31)


def _xz() -> Decompressor:
    return lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES_MAX)


_DECOMPRESSORS: dict[Format, Callable[[], Decompressor]] = {
    Format.GZIP: _gzip,
    Format.ZLIB: zlib.decompressobj,
    Format.BZIP2: bz2.BZ2Decompressor,
    Format.XZ: _xz,
}
