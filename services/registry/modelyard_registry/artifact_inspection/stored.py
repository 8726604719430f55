"""Looking at an artifact that a store keeps: beside the event loop, a few at a time."""

import asyncio
from dataclasses import dataclass, field

from modelyard_registry.artifact_inspection.files import inspect
from modelyard_registry.artifact_inspection.findings import Budget, Inspection
from modelyard_registry.artifact_inspection.sources import StoredSource
from modelyard_registry.artifact_stores.ports import ArtifactStore

AT_ONCE_MAX = 2


@dataclass(slots=True)
class Inspector:
    """Looks at stored artifacts, no more than `AT_ONCE_MAX` at once."""

    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE_MAX))

    async def inspect_file(self, store: ArtifactStore, digest: str, *, size_bytes: int) -> Inspection:
        """What the stored file is, by itself. Raises ArtifactStoreUnavailableError or ArtifactMissingError."""

        async def read_range(offset: int, count: int) -> bytes:
            chunks = store.read_range(digest, first=offset, last=offset + count - 1)
            return b"".join([chunk async for chunk in chunks])

        source = StoredSource(read_range, size=size_bytes, loop=asyncio.get_running_loop())
        async with self._turns:
            return await asyncio.to_thread(inspect, source, budget=Budget())
