"""Attaching an artifact to a version: load, decide, save, and say so, in the caller's transaction."""

from modelyard_events.registry import ModelVersionArtifactAttached
from modelyard_runtime.problems import ConflictError

from modelyard_registry.artifacts.records import ArtifactRecord, find_artifact
from modelyard_registry.attachments.store import ATTACHED_MAX, Attachment, insert_attachment, list_attachments
from modelyard_registry.models.domain import ModelVersion, Reference
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.models.locks import lock_model
from modelyard_registry.models.store import get_version
from modelyard_registry.registration.domain import ArtifactNotUploadedError
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


class AttachmentExistsError(ConflictError):
    """The version has another artifact of this name."""

    code = "attachment-exists"
    when = "The version has another artifact under this name."
    fix = "A version does not change: use another name, or register another version."


class TooManyAttachmentsError(ConflictError):
    """The version has as many further artifacts as it may have."""

    code = "too-many-attachments"
    when = "The version has as many further artifacts as the limit allows."
    fix = "Make a folder of several."


async def attach(
    tx: Transaction,
    *,
    project: str,
    model: str,
    reference: Reference,
    name: str,
    digest: str,
    signature: bytes | None = None,
) -> tuple[Attachment, bool]:
    """Give a version a further artifact; the second value is false when it had that one already.

    `signature` are its bytes when it may be the version's signature, which gates verify later.

    Raises RegisteredModelNotFoundError, ModelVersionNotFoundError, ArtifactNotUploadedError,
    AttachmentExistsError or TooManyAttachmentsError.
    """
    await lock_model(tx.connection, project=project, name=model)
    version = await get_version(tx.connection, project=project, model=model, reference=reference)
    attached = await list_attachments(tx.connection, version_id=version.id)
    known = next((each for each in attached if each.name == name), None)
    if known is not None:
        return _refuse_other(known, version, digest=digest), False
    if len(attached) >= ATTACHED_MAX:
        raise TooManyAttachmentsError(f"{model}/{version.number} has {len(attached)} further artifacts.")
    artifact = await _get_artifact(tx, project=project, digest=digest)
    attachment = await insert_attachment(
        tx.connection,
        version_id=version.id,
        name=name,
        artifact=artifact,
        at=tx.now,
        by=tx.context.actor,
        signature=signature,
    )
    await _say_attached(tx, attachment, version, project=project)
    return attachment, True


async def _say_attached(tx: Transaction, attachment: Attachment, version: ModelVersion, *, project: str) -> None:
    fact = ModelVersionArtifactAttached(
        project=project,
        model=version.model,
        number=version.number,
        name=attachment.name,
        digest=attachment.digest,
        artifact_bytes=attachment.size_bytes,
        format=attachment.format,
    )
    await append_model_fact(tx, fact, registered_model_id=version.registered_model_id)
    await tx.record_audit(
        project=project,
        action=AuditAction.MODEL_VERSION_ARTIFACT_ATTACHED,
        subject=version.subject,
        after=fact.model_dump(mode="json", exclude={"project", "model", "number"}),
        digest=attachment.digest,
    )


async def _get_artifact(tx: Transaction, *, project: str, digest: str) -> ArtifactRecord:
    artifact = await find_artifact(tx.connection, project=project, digest=digest)
    if artifact is None:
        raise ArtifactNotUploadedError(
            f"No artifact {digest} was uploaded to the project {project}.",
            fix=f"PUT it first: /api/v1/projects/{project}/artifacts/{digest}",
        )
    return artifact


def _refuse_other(known: Attachment, version: ModelVersion, *, digest: str) -> Attachment:
    if known.digest != digest:
        raise AttachmentExistsError(f"{version.model}/{version.number} has {known.digest} as {known.name}.")
    return known
