"""Artifacts and folders in a project: load, decide, save, and say so, in the caller's transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from modelyard_runtime.problems import ConflictError

from modelyard_registry.artifact_inspection.findings import Inspection
from modelyard_registry.artifacts.formats import FormatClaim
from modelyard_registry.artifacts.manifest import Manifest, inspect_folder, missing_from
from modelyard_registry.artifacts.records import (
    ArtifactKind,
    ArtifactRecord,
    find_artifact,
    find_files,
    insert_artifact,
    insert_folder_files,
    save_inspection,
)
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

NAMED_MAX = 20


class FilesNotUploadedError(ConflictError):
    """Files of the folder were not uploaded to this project."""

    code = "files-not-uploaded"
    when = "The manifest lists files that were not uploaded to the project."
    fix = "PUT each to /api/v1/projects/{project}/artifacts/{digest} first, and give its size in bytes."


class FormatOnRecordError(ConflictError):
    """The artifact is on record with another format."""

    code = "format-on-record"
    when = "The artifact was uploaded before with another `format`."
    fix = "Leave `format` out, or send the recorded one: an artifact and its format never change."


class DigestTakenError(ConflictError):
    """The project has a file with the very bytes of this manifest."""

    code = "digest-taken"
    when = "The bytes of the folder's manifest were uploaded as a file before."
    fix = "Do not upload the manifest as a file; add or rename a file of the folder to get another digest."


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedArtifact:
    """What became of an upload. `is_new` is false when the project had the artifact already."""

    artifact: ArtifactRecord
    is_new: bool


async def record_file(
    tx: Transaction,
    *,
    project: str,
    digest: str,
    size_bytes: int,
    format_name: str,
    inspection: Inspection,
    claim: FormatClaim | None = None,
) -> ReceivedArtifact:
    """Give the project a file whose bytes the store keeps and has proved.

    Raises FormatOnRecordError when it has the file already, and `claim` names another format than its record.
    """
    artifact = ArtifactRecord(
        project=project,
        digest=digest,
        kind=ArtifactKind.FILE,
        size_bytes=size_bytes,
        format=format_name,
        pickle=inspection.has_pickle,
        created_at=tx.now,
        created_by=tx.context.actor,
        inspection=inspection,
    )
    if await insert_artifact(tx.connection, artifact):
        await _say_uploaded(tx, artifact)
        return ReceivedArtifact(artifact=artifact, is_new=True)
    await save_inspection(tx.connection, artifact)
    known = await find_artifact(tx.connection, project=project, digest=digest)
    refuse_other_claim(known, claim=claim)
    return ReceivedArtifact(artifact=known or artifact, is_new=False)


def refuse_other_claim(known: ArtifactRecord | None, *, claim: FormatClaim | None) -> None:
    """Raise FormatOnRecordError when the artifact is on record with another format than the claimed one."""
    if known is None or claim is None or known.format == claim.value:
        return
    raise FormatOnRecordError(
        f"{known.digest} is on record with the format {known.format}, and the request says {claim}.",
        fix=f"Leave `format` out, or send {known.format}: an artifact and its format never change.",
        format=known.format,
    )


async def create_folder(tx: Transaction, manifest: Manifest, *, project: str) -> ReceivedArtifact:
    """Make files of the project a folder. Raises FilesNotUploadedError or DigestTakenError."""
    known = await find_artifact(tx.connection, project=project, digest=manifest.digest)
    if known is not None and known.inspection is not None:
        return ReceivedArtifact(artifact=_refuse_file(known), is_new=False)
    files = await find_files(tx.connection, project=project, digests={file.digest for file in manifest.files})
    _refuse_missing(manifest, files, project=project)
    inspection = await asyncio.to_thread(inspect_folder, manifest, {file.digest: file.inspection for file in files})
    folder = ArtifactRecord(
        project=project,
        digest=manifest.digest,
        kind=ArtifactKind.FOLDER,
        size_bytes=manifest.size_bytes,
        format=inspection.format,
        pickle=inspection.has_pickle,
        created_at=tx.now,
        created_by=tx.context.actor,
        inspection=inspection,
    )
    if not await insert_artifact(tx.connection, folder):  # Another request was faster, or nothing was known of it.
        await save_inspection(tx.connection, folder)
        known = await find_artifact(tx.connection, project=project, digest=manifest.digest)
        return ReceivedArtifact(artifact=_refuse_file(known or folder), is_new=False)
    await insert_folder_files(tx.connection, manifest, project=project)
    await _say_uploaded(tx, folder)
    return ReceivedArtifact(artifact=folder, is_new=True)


async def _say_uploaded(tx: Transaction, artifact: ArtifactRecord) -> None:
    await tx.record_audit(
        project=artifact.project,
        action=AuditAction.ARTIFACT_UPLOADED,
        subject=f"artifacts/{artifact.digest}",
        after={
            "kind": artifact.kind,
            "artifact_bytes": artifact.size_bytes,
            "format": artifact.format,
            "pickle": artifact.pickle,
            "executes_code": artifact.inspection is None or artifact.inspection.executes_code,
        },
        digest=artifact.digest,
    )


def _refuse_file(known: ArtifactRecord) -> ArtifactRecord:
    if known.kind is ArtifactKind.FILE:
        raise DigestTakenError(f"{known.digest} was uploaded to the project {known.project} as a file.")
    return known


def _refuse_missing(manifest: Manifest, files: Sequence[ArtifactRecord], *, project: str) -> None:
    missing = missing_from(manifest, uploaded={(file.digest, file.size_bytes) for file in files})
    if missing:
        named = ", ".join(f"{file.path} ({file.digest}, {file.size_bytes} bytes)" for file in missing[:NAMED_MAX])
        raise FilesNotUploadedError(
            f"{len(missing)} files of the folder were not uploaded to the project {project}: {named}"
            + (" …" if len(missing) > NAMED_MAX else "."),
            fix=f"PUT each to /api/v1/projects/{project}/artifacts/{{digest}} first, and give its size in bytes.",
            missing=[file.path for file in missing],
        )
