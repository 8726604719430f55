"""Uploads that come in parts: what was announced, and where the parts wait. One row each, gone when it ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from modelyard_registry.artifacts.formats import FormatClaim
from modelyard_registry.transactions.database import Connection

COLUMNS = "id, project, digest, bytes, part_bytes, part_digests, claim, staging, created_at, created_by"
COUNT_UPLOADS = "SELECT count(*) FROM artifact_uploads WHERE project = $1"
INSERT_UPLOAD = f"INSERT INTO artifact_uploads ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
FIND_UPLOAD = f"SELECT {COLUMNS} FROM artifact_uploads WHERE id = $1 AND project = $2 AND digest = $3"
DELETE_UPLOAD = "DELETE FROM artifact_uploads WHERE id = $1"
LIST_STALE = f"SELECT {COLUMNS} FROM artifact_uploads WHERE created_at < $1 ORDER BY created_at LIMIT $2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """An upload that has begun. `part_digests` are hexadecimal SHA-256, one per part, when the caller gave them."""

    id: UUID
    project: str
    digest: str
    size_bytes: int
    part_bytes: int
    part_digests: Sequence[str] | None
    claim: FormatClaim | None
    staging: str
    created_at: datetime
    created_by: str

    @property
    def sizes(self) -> Sequence[int]:
        """How many bytes each part has: all the same, the last one the rest."""
        return [min(self.part_bytes, self.size_bytes - start) for start in range(0, self.size_bytes, self.part_bytes)]


async def count_uploads(connection: Connection, *, project: str) -> int:
    """How many uploads of the project have begun and not ended."""
    return int(await connection.fetchval(COUNT_UPLOADS, project))


async def insert_upload(connection: Connection, upload: Upload) -> None:
    """Write the row."""
    await connection.execute(
        INSERT_UPLOAD,
        upload.id,
        upload.project,
        upload.digest,
        upload.size_bytes,
        upload.part_bytes,
        upload.part_digests,
        upload.claim,
        upload.staging,
        upload.created_at,
        upload.created_by,
    )


async def find_upload(connection: Connection, upload_id: UUID, *, project: str, digest: str) -> Upload | None:
    """The upload, when it is one of this artifact to this project."""
    row = await connection.fetchrow(FIND_UPLOAD, upload_id, project, digest)
    return _upload_of(row) if row else None


async def delete_upload(connection: Connection, upload_id: UUID) -> None:
    """Forget the upload."""
    await connection.execute(DELETE_UPLOAD, upload_id)


async def list_stale_uploads(connection: Connection, *, before: datetime, limit: int) -> Sequence[Upload]:
    """Uploads that began before a moment, the oldest first."""
    return [_upload_of(row) for row in await connection.fetch(LIST_STALE, before, limit)]


def _upload_of(row: asyncpg.Record) -> Upload:
    return Upload(
        id=row["id"],
        project=row["project"],
        digest=row["digest"],
        size_bytes=row["bytes"],
        part_bytes=row["part_bytes"],
        part_digests=row["part_digests"],
        claim=FormatClaim(row["claim"]) if row["claim"] else None,
        staging=row["staging"],
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
