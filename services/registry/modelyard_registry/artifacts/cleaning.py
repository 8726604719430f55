"""Removes uploads that were begun and left alone, from the database and from the storage."""

import asyncio
from datetime import timedelta

import structlog
from modelyard_runtime.clock import Clock

from modelyard_registry.artifact_stores.ports import ArtifactStore, ArtifactStoreUnavailableError
from modelyard_registry.artifacts.upload_records import delete_upload, list_stale_uploads
from modelyard_registry.transactions.database import Database, DatabaseUnavailableError

INTERVAL_S = 600.0
CHUNK_ROWS_MAX = 500

log = structlog.get_logger()


class UploadCleaning:
    """Runs beside the service. `kept_for` is how long an upload may take from its beginning to its completion."""

    def __init__(self, database: Database, artifacts: ArtifactStore, *, kept_for: timedelta, clock: Clock) -> None:
        self._database = database
        self._artifacts = artifacts
        self._kept_for = kept_for
        self._clock = clock

    async def run(self) -> None:
        """Clean every ten minutes until cancelled."""
        while True:
            try:
                await self.clean()
            except (DatabaseUnavailableError, ArtifactStoreUnavailableError) as error:
                log.warning("uploads_not_cleaned", error=str(error))  # The next time is as good.
            await asyncio.sleep(INTERVAL_S)

    async def clean(self) -> int:
        """Remove what is too old, at most `CHUNK_ROWS_MAX` uploads that have a row; returns how many there were.

        Parts without a row are those of a process that was killed just then.
        """
        before = self._clock() - self._kept_for
        async with self._database.reading() as connection:
            stale = await list_stale_uploads(connection, before=before, limit=CHUNK_ROWS_MAX)
        for upload in stale:
            await self._artifacts.discard(upload.staging)
            async with self._database.reading() as connection:
                await delete_upload(connection, upload.id)
        dangling = await self._artifacts.discard_stale(before=before)
        if stale or dangling:
            log.info("uploads_cleaned", begun=len(stale), dangling=dangling)
        return len(stale) + dangling
