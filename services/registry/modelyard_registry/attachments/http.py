"""Operations on the further artifacts of a version: attach, list, download."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Path
from fastapi.responses import Response
from modelyard_events.values import Digest, Slug
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.problems import NotFoundError
from pydantic import BaseModel, ConfigDict

from modelyard_registry.api import Answer, Call, Caller, ModelName, Project, Request, carry_out, problems, requires
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.artifacts.documents import uri_of
from modelyard_registry.artifacts.download import DOWNLOAD_RESPONSES, Asked, download
from modelyard_registry.artifacts.records import find_artifact
from modelyard_registry.attachments.handlers import attach
from modelyard_registry.attachments.store import Attachment, list_attachments
from modelyard_registry.gates.signatures import SIGNATURE, SIGNATURE_FILE_BYTES_MAX
from modelyard_registry.models.domain import parse_reference
from modelyard_registry.models.subjects import subject_of_version
from modelyard_registry.models.versions_http import VersionText
from modelyard_registry.models.visibility import get_visible_version
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(tags=["model versions"], route_class=BoundedRoute)

PATH = "/registered-models/{name}/versions/{reference}/artifacts"
AttachmentName = Annotated[Slug, Path(description="What the artifact is to the version.", examples=["tokenizer"])]


class AttachmentNotFoundError(NotFoundError):
    """The version has no further artifact of this name."""

    code = "attachment-not-found"
    when = "The version has no further artifact of this name."
    fix = "List them with GET …/versions/{number}/artifacts."


class NewAttachment(Request):
    """Which uploaded artifact belongs to the version."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"digest": "sha256:" + "9f" * 32}]})

    digest: Digest


class AttachmentDocument(BaseModel):
    """A further artifact of a version."""

    name: str
    digest: str
    kind: str
    artifact_uri: str
    artifact_bytes: int
    format: str
    pickle: bool
    executes_code: bool
    attached_at: datetime
    attached_by: str

    @classmethod
    def of(cls, attachment: Attachment, *, project: str) -> Self:
        """The document about `attachment`."""
        return cls(
            name=attachment.name,
            digest=attachment.digest,
            kind=attachment.kind,
            artifact_uri=uri_of(project, attachment.digest),
            artifact_bytes=attachment.size_bytes,
            format=attachment.format,
            pickle=attachment.pickle,
            executes_code=attachment.inspection.executes_code,
            attached_at=attachment.attached_at,
            attached_by=attachment.attached_by,
        )


class AttachmentList(BaseModel):
    """The further artifacts of a version, by name."""

    items: list[AttachmentDocument]


@router.put(
    PATH + "/{attachment}",
    status_code=201,
    response_model=AttachmentDocument,
    responses={
        **problems(404, 409, 412),
        200: {"model": AttachmentDocument, "description": "The version had this artifact under this name already"},
    },
    summary="Attach an artifact to a version",
    dependencies=[requires(Permission.VERSIONS_WRITE)],
)
async def put_attachment(
    project: Project,
    name: ModelName,
    reference: VersionText,
    attachment: AttachmentName,
    body: NewAttachment,
    call: Caller,
) -> Response:
    """An uploaded file or folder; under its name it is never replaced.

    As `signature`: an Ed25519 signature of the text of the version's digest, 64 bytes or these in base64, which a
    security gate verifies with the policy's `signature_keys`.
    """
    named = parse_reference(reference)
    signature = await _read_signature(call, project=project, digest=body.digest) if attachment == SIGNATURE else None

    async def work(tx: Transaction) -> Answer:
        attached, is_new = await attach(
            tx,
            project=project,
            model=name,
            reference=named,
            name=attachment,
            digest=body.digest,
            signature=signature,
        )
        return Answer(status=201 if is_new else 200, body=AttachmentDocument.of(attached, project=project))

    subject = subject_of_version(project, name, parse_reference(reference))
    return await carry_out(call, body, work, action=AuditAction.MODEL_VERSION_ARTIFACT_ATTACHED, subject=subject)


async def _read_signature(call: Call, *, project: str, digest: str) -> bytes | None:
    """What the artifact holds, when it is a file short enough to be a signature."""
    async with call.services.database.reading() as connection:
        artifact = await find_artifact(connection, project=project, digest=digest)
    if artifact is None or artifact.kind != "file" or artifact.size_bytes > SIGNATURE_FILE_BYTES_MAX:
        return None
    return b"".join([chunk async for chunk in call.services.artifacts.read(digest)])


@router.get(
    PATH,
    responses=problems(404),
    summary="List a version's further artifacts",
    dependencies=[requires(Permission.ARTIFACTS_READ_PRODUCTION)],
)
async def get_attachments(project: Project, name: ModelName, reference: VersionText, call: Caller) -> AttachmentList:
    """By name; the artifact that the version is, is not among them."""
    found = await _list(call, project=project, model=name, reference=reference)
    return AttachmentList(items=[AttachmentDocument.of(each, project=project) for each in found])


@router.get(
    PATH + "/{attachment}",
    response_class=Response,
    responses=DOWNLOAD_RESPONSES,
    summary="Download a further artifact of a version",
    dependencies=[requires(Permission.ARTIFACTS_READ_PRODUCTION)],
)
async def get_attachment(
    project: Project, name: ModelName, reference: VersionText, attachment: AttachmentName, call: Caller, asked: Asked
) -> Response:
    """The very bytes that were attached, checked against their digest on the way; of a folder, its manifest."""
    for each in await _list(call, project=project, model=name, reference=reference):
        if each.name == attachment:
            return await download(call, asked, project=project, digest=each.digest)
    raise AttachmentNotFoundError(f"{name} {reference} has no further artifact {attachment}.")


async def _list(call: Call, *, project: str, model: str, reference: str) -> list[Attachment]:
    async with call.services.database.reading() as connection:
        version = await get_visible_version(
            connection,
            call,
            project=project,
            model=model,
            reference=parse_reference(reference),
            permission=Permission.ARTIFACTS_READ,
        )
        return list(await list_attachments(connection, version_id=version.id))
