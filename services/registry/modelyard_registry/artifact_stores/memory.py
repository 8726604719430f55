"""The in-memory twin of the artifact store, for tests."""

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from modelyard_runtime.clock import Clock, utc_now

from modelyard_registry.artifact_stores.ports import (
    IncomingArtifact,
    PartTarget,
    artifact_missing,
    artifact_too_large,
    refuse_missing_parts,
    upload_lost,
)
from modelyard_registry.artifact_stores.proving import Proof, ProvedArtifact, proved

CHUNK_BYTES = 1024 * 1024


class MemoryArtifactStore:
    """Keeps artifacts in `kept`, by digest, and parts in `staged`, by upload and number."""

    part_bytes_min = 1
    part_bytes_max = 64 * 1024 * 1024

    def __init__(self, *, clock: Clock = utc_now) -> None:
        self.kept: dict[str, bytes] = {}
        self.staged: dict[str, dict[int, bytes]] = {}
        self._begun_at: dict[str, datetime] = {}
        self._clock = clock
        self._names = itertools.count(1)

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterator[bytes], *, bytes_max: int) -> AsyncIterator[IncomingArtifact]:
        """Take in `chunks`; see `ArtifactStore`."""
        content = bytearray()
        async for chunk in chunks:
            content += chunk
            if len(content) > bytes_max:
                raise artifact_too_large(bytes_max)
        yield await self._incoming(bytes(content))

    async def read(self, digest: str) -> AsyncIterator[bytes]:
        """The bytes under `digest`; see `ArtifactStore`."""
        content = self.kept.get(digest)
        if content is None:
            raise artifact_missing(digest)
        async for chunk in proved(_chunks_of(content), digest=digest):
            yield chunk

    async def read_range(self, digest: str, *, first: int, last: int) -> AsyncIterator[bytes]:
        """Some of the bytes, unchecked; see `ArtifactStore`."""
        content = self.kept.get(digest)
        if content is None:
            raise artifact_missing(digest)
        async for chunk in _chunks_of(content[first : last + 1]):
            yield chunk

    async def begin(self, *, with_checksums: bool) -> str:
        """Room for parts; see `StagedUploads`."""
        staging = f"upload-{next(self._names)}"
        self.staged[staging], self._begun_at[staging] = {}, self._clock()
        return staging

    async def part_target(self, staging: str, *, number: int, checksum: bytes | None) -> PartTarget | None:
        """None: memory has no address."""
        return None

    async def write_part(self, staging: str, *, number: int, chunks: AsyncIterator[bytes]) -> None:
        """Stage a part; see `StagedUploads`."""
        content = b"".join([chunk async for chunk in chunks])
        self._parts_of(staging)[number] = content

    async def list_parts(self, staging: str) -> Mapping[int, int]:
        """The sizes of the staged parts; see `StagedUploads`."""
        return {number: len(content) for number, content in self._parts_of(staging).items()}

    @asynccontextmanager
    async def assembled(self, staging: str, *, sizes: Sequence[int]) -> AsyncIterator[IncomingArtifact]:
        """The parts as one artifact; see `StagedUploads`."""
        parts = self._parts_of(staging)
        refuse_missing_parts(await self.list_parts(staging), sizes=sizes)
        yield await self._incoming(b"".join(parts[number] for number in sorted(parts)))

    async def discard(self, staging: str) -> None:
        """Forget the parts; see `StagedUploads`."""
        self.staged.pop(staging, None)
        self._begun_at.pop(staging, None)

    async def discard_stale(self, *, before: datetime) -> int:
        """Forget old parts; see `StagedUploads`."""
        stale = [staging for staging, begun_at in self._begun_at.items() if begun_at < before]
        for staging in stale:
            await self.discard(staging)
        return len(stale)

    async def _incoming(self, content: bytes) -> ProvedArtifact:
        proof = Proof()
        await proof.add(content)

        async def save() -> None:
            self.kept[proof.digest] = content

        return ProvedArtifact(proof=proof, save=save)

    def _parts_of(self, staging: str) -> dict[int, bytes]:
        if staging not in self.staged:
            raise upload_lost()
        return self.staged[staging]


async def _chunks_of(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), CHUNK_BYTES):
        yield content[start : start + CHUNK_BYTES]
