"""Artifacts on a local disk, each in a file that is named by its digest.

A file comes into being whole: it is written aside, flushed to the disk, and renamed to its digest. A
process that is killed half-way leaves only files in `incoming`, which the next start removes. Parts of
uploads wait in `uploads`, each whole, and survive a restart.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import structlog
from modelyard_runtime.ids import NewId

from modelyard_registry.artifact_stores.ports import (
    ArtifactStoreUnavailableError,
    IncomingArtifact,
    PartTarget,
    artifact_missing,
    refuse_missing_parts,
    upload_lost,
)
from modelyard_registry.artifact_stores.proving import Proof, ProvedArtifact, in_pieces, key_of, proved, proving

CHUNK_BYTES = 1024 * 1024

T = TypeVar("T")

log = structlog.get_logger()


class DiskArtifactStore:
    """Keeps artifacts below `directory`. Use as an async context manager."""

    part_bytes_min = 64 * 1024
    part_bytes_max = 1024 * 1024 * 1024

    def __init__(self, directory: Path, *, new_id: NewId) -> None:
        self._directory = directory
        self._incoming = directory / "incoming"
        self._uploads = directory / "uploads"
        self._new_id = new_id

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._prepare)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _prepare(self) -> None:
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._uploads.mkdir(parents=True, exist_ok=True)
        for leftover in self._incoming.iterdir():
            leftover.unlink(missing_ok=True)

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterator[bytes], *, bytes_max: int) -> AsyncIterator[IncomingArtifact]:
        """Take in `chunks`; see `ArtifactStore`."""
        path = self._incoming / f"{self._new_id()}.part"
        try:
            proof = await _write(path, chunks, bytes_max=bytes_max)
            destination = self._path_of(proof.digest)
            yield ProvedArtifact(proof=proof, save=partial(_on_disk, partial(_rename_durably, path, destination)))
        finally:
            # Not awaited: a cancelled upload must clean up as well, and unlinking takes no time.
            path.unlink(missing_ok=True)

    async def read(self, digest: str) -> AsyncIterator[bytes]:
        """The bytes under `digest`, checked while they are read; see `ArtifactStore`."""
        file = await _on_disk(partial(_open, self._path_of(digest)))
        if file is None:
            raise artifact_missing(digest)
        with file:
            async for chunk in proved(_chunks_of(file), digest=digest):
                yield chunk

    async def read_range(self, digest: str, *, first: int, last: int) -> AsyncIterator[bytes]:
        """Some of the bytes, unchecked; see `ArtifactStore`."""
        file = await _on_disk(partial(_open, self._path_of(digest)))
        if file is None:
            raise artifact_missing(digest)
        with file:
            await _on_disk(partial(file.seek, first))
            left = last - first + 1
            while chunk := await _on_disk(partial(file.read, min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk

    async def begin(self, *, with_checksums: bool) -> str:
        """A directory for the parts; see `StagedUploads`."""
        staging = self._new_id()
        await _on_disk(partial((self._uploads / staging).mkdir))
        return staging

    async def part_target(self, staging: str, *, number: int, checksum: bytes | None) -> PartTarget | None:
        """None: a disk has no address."""
        return None

    async def write_part(self, staging: str, *, number: int, chunks: AsyncIterator[bytes]) -> None:
        """Stage a part; see `StagedUploads`."""
        path = self._incoming / f"{self._new_id()}.part"
        try:
            await _write(path, chunks, bytes_max=self.part_bytes_max)
            await _on_disk(partial(_move_part, path, self._uploads / staging / str(number)))
        finally:
            path.unlink(missing_ok=True)

    async def list_parts(self, staging: str) -> Mapping[int, int]:
        """The sizes of the staged parts; see `StagedUploads`."""
        parts = await _on_disk(partial(_sizes_of_parts, self._uploads / staging))
        if parts is None:
            raise upload_lost()
        return parts

    @asynccontextmanager
    async def assembled(self, staging: str, *, sizes: Sequence[int]) -> AsyncIterator[IncomingArtifact]:
        """The parts as one artifact; see `StagedUploads`."""
        refuse_missing_parts(await self.list_parts(staging), sizes=sizes)
        chunks = _chunks_of_parts(self._uploads / staging, count=len(sizes))
        # A copy, and hashed as it is made: what is kept is what was proved, whatever comes for the parts meanwhile.
        async with self.receive(chunks, bytes_max=sum(sizes)) as incoming:
            yield incoming

    async def discard(self, staging: str) -> None:
        """Remove the parts; see `StagedUploads`."""
        await _on_disk(partial(shutil.rmtree, self._uploads / staging, ignore_errors=True))

    async def discard_stale(self, *, before: datetime) -> int:
        """Remove old parts; see `StagedUploads`."""
        stale = await _on_disk(partial(_older_than, self._uploads, before.timestamp()))
        for staging in stale:
            await self.discard(staging)
        return len(stale)

    def _path_of(self, digest: str) -> Path:
        return self._directory / key_of(digest)


async def _on_disk(work: Callable[[], T]) -> T:
    """Do `work` in a thread; a disk that is full, read-only or gone is told as such."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        log.error("artifact_store_failed", error=repr(error))
        raise ArtifactStoreUnavailableError(
            f"The disk that keeps the artifacts failed: {error.strerror or 'input/output error'}."
        ) from error


async def _write(path: Path, chunks: AsyncIterator[bytes], *, bytes_max: int) -> Proof:
    proof = Proof()
    with await _on_disk(partial(_create, path)) as file:
        async for piece in in_pieces(proving(chunks, proof, bytes_max=bytes_max), piece_bytes=CHUNK_BYTES):
            await _on_disk(partial(file.write, piece))
        await _on_disk(partial(_flush, file))
    return proof


def _create(path: Path) -> BinaryIO:
    return path.open("xb")


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _rename_durably(path: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    path.replace(destination)
    # The rename is durable when both directories that it touched, new ones included, are on the disk.
    for directory in (destination.parent, destination.parent.parent, destination.parent.parent.parent):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _move_part(path: Path, destination: Path) -> None:
    try:
        path.replace(destination)
    except FileNotFoundError:
        raise upload_lost() from None


def _sizes_of_parts(directory: Path) -> dict[int, int] | None:
    try:
        return {int(file.name): file.stat().st_size for file in directory.iterdir()}
    except FileNotFoundError:
        return None


def _older_than(directory: Path, moment: float) -> list[str]:
    return [each.name for each in directory.iterdir() if each.stat().st_mtime < moment]


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


async def _chunks_of(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await _on_disk(partial(file.read, CHUNK_BYTES)):
        yield chunk


async def _chunks_of_parts(directory: Path, *, count: int) -> AsyncIterator[bytes]:
    for number in range(1, count + 1):
        file = await _on_disk(partial(_open, directory / str(number)))
        if file is None:
            raise upload_lost()
        with file:
            async for chunk in _chunks_of(file):
                yield chunk
