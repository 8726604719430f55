"""Operations on the further artifacts of a version: attach, list, download."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Path
from fastapi.responses import Response
from modelyard_events.values import Digest, Slug
from modelyard_runtime.problems import NotFoundError
from pydantic import BaseModel, ConfigDict

from modelyard_registry.access.permissions import Permission
from modelyard_registry.artifacts.documents import uri_of
from modelyard_registry.artifacts.download import DOWNLOAD_RESPONSES, download
from modelyard_registry.attachments.handlers import attach
from modelyard_registry.attachments.store import Attachment, list_attachments
from modelyard_registry.http import Answer, Call, Caller, ModelName, Project, Request, carry_out, problems, requires
from modelyard_registry.models.changes import revision_of_version
from modelyard_registry.models.domain import parse_reference
from modelyard_registry.models.versions_http import VersionText
from modelyard_registry.models.visibility import get_visible_version
from modelyard_registry.transactions import Transaction

router = APIRouter(tags=["model versions"])

PATH = "/registered-models/{name}/versions/{reference}/artifacts"
AttachmentName = Annotated[Slug, Path(description="What the artifact is to the version.", examples=["tokenizer"])]


class AttachmentNotFoundError(NotFoundError):
    """The version has no further artifact of this name."""


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
    """An uploaded file or folder; under its name it is never replaced."""
    named = parse_reference(reference)

    async def work(tx: Transaction) -> Answer:
        attached, is_new = await attach(
            tx, project=project, model=name, reference=named, name=attachment, digest=body.digest
        )
        return Answer(status=201 if is_new else 200, body=AttachmentDocument.of(attached, project=project))

    return await carry_out(
        call,
        body,
        work,
        project=project,
        action="model_version.artifact_attached",
        subject=f"registered-models/{name}/versions/{reference}",
        revision=revision_of_version(project, name, parse_reference(reference)),
    )


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
    project: Project, name: ModelName, reference: VersionText, attachment: AttachmentName, call: Caller
) -> Response:
    """The very bytes that were attached, checked against their digest on the way; of a folder, its manifest."""
    for each in await _list(call, project=project, model=name, reference=reference):
        if each.name == attachment:
            return await download(call, project=project, digest=each.digest, if_none_match=None)
    raise AttachmentNotFoundError(
        f"{name} {reference} has no further artifact {attachment}.",
        fix="List them with GET …/versions/{number}/artifacts.",
    )


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
