"""The artifacts that are attached to versions, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from modelyard_registry.artifact_inspection.findings import Inspection
from modelyard_registry.artifacts.records import ArtifactRecord, record_of
from modelyard_registry.gates.signatures import SIGNATURE
from modelyard_registry.transactions.database import Connection

ATTACHED_MAX = 100

LIST_ATTACHMENTS = """
SELECT t.name, t.attached_at, t.attached_by, a.project, a.digest, a.kind, a.bytes, a.format, a.pickle, a.created_at,
    a.created_by, a.inspection
FROM version_artifacts t JOIN artifacts a ON a.project = t.project AND a.digest = t.digest
WHERE t.version_id = $1 ORDER BY t.name
"""
INSERT_ATTACHMENT = """
INSERT INTO version_artifacts (version_id, name, project, digest, attached_at, attached_by, signature)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
FIND_SIGNATURE = f"SELECT signature FROM version_artifacts WHERE version_id = $1 AND name = '{SIGNATURE}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A further artifact of a version."""

    name: str
    digest: str
    kind: str
    size_bytes: int
    format: str
    pickle: bool
    inspection: Inspection
    attached_at: datetime
    attached_by: str


async def list_attachments(connection: Connection, *, version_id: UUID) -> Sequence[Attachment]:
    """All of a version, by name; there are at most `ATTACHED_MAX`."""
    return [_attachment_of(row) for row in await connection.fetch(LIST_ATTACHMENTS, version_id)]


async def list_inspections(connection: Connection, *, version_id: UUID) -> dict[str, Inspection]:
    """What each of a version's further artifacts consists of, by name."""
    return {each.name: each.inspection for each in await list_attachments(connection, version_id=version_id)}


async def find_signature(connection: Connection, *, version_id: UUID) -> bytes | None:
    """What is attached to the version as its signature, when it is short enough to be one."""
    signature: bytes | None = await connection.fetchval(FIND_SIGNATURE, version_id)
    return signature


async def insert_attachment(
    connection: Connection,
    *,
    version_id: UUID,
    name: str,
    artifact: ArtifactRecord,
    at: datetime,
    by: str,
    signature: bytes | None,
) -> Attachment:
    """Write the row; the caller holds the model's lock and has seen that the name is free."""
    await connection.execute(INSERT_ATTACHMENT, version_id, name, artifact.project, artifact.digest, at, by, signature)
    return _attachment(name, artifact, at=at, by=by)


def _attachment_of(row: asyncpg.Record) -> Attachment:
    return _attachment(row["name"], record_of(row), at=row["attached_at"], by=row["attached_by"])


def _attachment(name: str, artifact: ArtifactRecord, *, at: datetime, by: str) -> Attachment:
    return Attachment(
        name=name,
        digest=artifact.digest,
        kind=artifact.kind,
        size_bytes=artifact.size_bytes,
        format=artifact.format,
        pickle=artifact.pickle,
        inspection=artifact.judged,
        attached_at=at,
        attached_by=by,
    )
