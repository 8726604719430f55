"""Which artifacts were uploaded to which project: the rows beside the store's bytes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import asyncpg

from modelyard_registry.artifact_inspection.findings import Finding, Inspection
from modelyard_registry.artifacts.manifest import Manifest, ManifestFile
from modelyard_registry.transactions.database import Connection
from modelyard_registry.transactions.statements import Columns, Statement

COLUMNS = "project, digest, kind, bytes, format, pickle, created_at, created_by, inspection"
FIND_ARTIFACT = f"SELECT {COLUMNS} FROM artifacts WHERE project = $1 AND digest = $2"
FIND_FILES = f"SELECT {COLUMNS} FROM artifacts WHERE project = $1 AND digest = ANY($2) AND kind = 'file'"
INSERT_ARTIFACT = f"""
INSERT INTO artifacts ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (project, digest) DO NOTHING
RETURNING digest
"""
SAVE_INSPECTION = """
UPDATE artifacts SET format = $3, pickle = $4, inspection = $5
WHERE project = $1 AND digest = $2 AND inspection IS NULL
"""
INSERT_FOLDER_FILES = Statement(
    """
INSERT INTO artifact_files (project, folder, path, digest, bytes)
SELECT {project}, {folder}, path, digest, bytes FROM {files}
""",
    project="text",
    folder="text",
    files=Columns[ManifestFile](
        path=("text", lambda file: file.path),
        digest=("text", lambda file: file.digest),
        bytes=("bigint", lambda file: file.size_bytes),
    ),
)
LIST_FOLDER_FILES = """
SELECT path, digest, bytes FROM artifact_files WHERE project = $1 AND folder = $2 AND path > $3 ORDER BY path LIMIT $4
"""
FIND_FOLDER_FILE = """
SELECT path, digest, bytes FROM artifact_files WHERE project = $1 AND folder = $2 AND path = $3
"""


class ArtifactKind(StrEnum):
    """Whether an artifact is the bytes under its digest, or the files that a manifest with that digest lists."""

    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRecord:
    """One artifact of a project. A folder's `size_bytes` is that of its files together.

    `pickle`: a part of it is a pickle, or may be one. `inspection` None: it was recorded before
    parts were looked at.
    """

    project: str
    digest: str
    kind: ArtifactKind
    size_bytes: int
    format: str
    pickle: bool
    created_at: datetime
    created_by: str
    inspection: Inspection | None

    @property
    def judged(self) -> Inspection:
        """What was found of it as an artifact by itself."""
        if self.inspection is not None:
            return self.inspection.alone() if self.kind is ArtifactKind.FILE else self.inspection
        finding = Finding.of("", "It was recorded before parts were looked at: upload it again.", is_pickle=self.pickle)
        return Inspection(format=self.format, formats=frozenset({self.format}), findings=(finding,))


async def find_artifact(connection: Connection, *, project: str, digest: str) -> ArtifactRecord | None:
    """The artifact, when it was uploaded to this project."""
    row = await connection.fetchrow(FIND_ARTIFACT, project, digest)
    return record_of(row) if row else None


async def find_files(connection: Connection, *, project: str, digests: Collection[str]) -> Sequence[ArtifactRecord]:
    """Those of `digests` that were uploaded to this project as files."""
    return [record_of(row) for row in await connection.fetch(FIND_FILES, project, list(digests))]


async def insert_artifact(connection: Connection, artifact: ArtifactRecord) -> bool:
    """Write the row; false when it was there already."""
    inserted = await connection.fetchval(
        INSERT_ARTIFACT,
        artifact.project,
        artifact.digest,
        artifact.kind,
        artifact.size_bytes,
        artifact.format,
        artifact.pickle,
        artifact.created_at,
        artifact.created_by,
        None if artifact.inspection is None else artifact.inspection.document(),
    )
    return inserted is not None


async def save_inspection(connection: Connection, artifact: ArtifactRecord) -> None:
    """Keep what was found of an artifact of which nothing was known; what is known never changes."""
    await connection.execute(
        SAVE_INSPECTION,
        artifact.project,
        artifact.digest,
        artifact.format,
        artifact.pickle,
        None if artifact.inspection is None else artifact.inspection.document(),
    )


async def insert_folder_files(connection: Connection, manifest: Manifest, *, project: str) -> None:
    """Write what the folder, whose row is there, consists of."""
    await connection.execute(*INSERT_FOLDER_FILES.bind(project=project, folder=manifest.digest, files=manifest.files))


async def list_folder_files(
    connection: Connection, *, project: str, folder: str, after: str, limit: int
) -> Sequence[ManifestFile]:
    """The folder's files by path, those after the path `after`."""
    return [_file_of(row) for row in await connection.fetch(LIST_FOLDER_FILES, project, folder, after, limit)]


async def find_folder_file(connection: Connection, *, project: str, folder: str, path: str) -> ManifestFile | None:
    """The file at exactly this path of the folder."""
    row = await connection.fetchrow(FIND_FOLDER_FILE, project, folder, path)
    return _file_of(row) if row else None


def record_of(row: asyncpg.Record) -> ArtifactRecord:
    """The artifact that a row with `COLUMNS` describes."""
    return ArtifactRecord(
        project=row["project"],
        digest=row["digest"],
        kind=ArtifactKind(row["kind"]),
        size_bytes=row["bytes"],
        format=row["format"],
        pickle=row["pickle"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        inspection=(
            None
            if row["inspection"] is None
            else Inspection.from_document(row["inspection"], format_name=row["format"])
        ),
    )


def _file_of(row: asyncpg.Record) -> ManifestFile:
    return ManifestFile(path=row["path"], digest=row["digest"], size_bytes=row["bytes"])
