"""Operations on uploads by parts, which go straight to the storage where it has an address."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path
from fastapi import Request as HttpRequest
from fastapi.responses import Response
from modelyard_runtime.access.permissions import Permission
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from modelyard_registry.api import NO_ETAG, Call, Caller, Project, Request, problems, requires
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.artifacts.documents import ArtifactDocument, uri_of
from modelyard_registry.artifacts.download import OCTETS
from modelyard_registry.artifacts.formats import FormatClaim
from modelyard_registry.artifacts.http import DigestPath
from modelyard_registry.artifacts.receiving import body_chunks
from modelyard_registry.artifacts.upload_records import Upload
from modelyard_registry.artifacts.uploads import (
    PARTS_MAX,
    abort_upload,
    begin_upload,
    complete_upload,
    get_upload,
    take_part,
)

router = APIRouter(tags=["artifacts"], route_class=BoundedRoute)

UploadId = Annotated[UUID, Path(description="As the upload's beginning answered it.")]
PartNumber = Annotated[int, Path(ge=1, le=PARTS_MAX, description="Counted from 1.")]
PartDigest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
NEEDS_WRITE = [requires(Permission.ARTIFACTS_WRITE), NO_ETAG]


class NewUpload(Request):
    """What will be uploaded. With `part_digests` the storage itself refuses a part that was damaged on its way."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"bytes": 734_003_200}, {"bytes": 734_003_200, "format": "safetensors"}]}
    )

    bytes: Annotated[int, Field(ge=1, le=2**62)]
    format: FormatClaim | None = None
    part_bytes: Annotated[int, Field(ge=1, le=2**32, description="The size of each part but the last.")] | None = None
    part_digests: Annotated[list[PartDigest], Field(min_length=1, max_length=PARTS_MAX)] | None = None


class PartDocument(BaseModel):
    """One part. It is there when `received`; else PUT its bytes to `url`, with exactly these `headers`.

    A `url` that begins with `/` is the registry's, and takes the caller's token.
    """

    number: int
    bytes: int
    received: bool
    url: str | None
    headers: dict[str, str]


class UploadDocument(BaseModel):
    """An upload that has begun. Addresses are good for an hour: GET the upload to have new ones."""

    upload_id: str
    digest: str
    artifact_bytes: int
    part_bytes: int
    through: Literal["storage", "registry"]
    parts: list[PartDocument]
    created_at: datetime


@router.post(
    "/artifacts/{digest}/uploads",
    status_code=201,
    responses=problems(404, 409, 413),
    summary="Begin an upload by parts",
    dependencies=NEEDS_WRITE,
)
async def post_upload(project: Project, digest: DigestPath, body: NewUpload, call: Caller) -> UploadDocument:
    """Answers where each part is PUT. Nothing is an artifact before the upload is completed.

    The same `Idempotency-Key` again answers the same upload, with new addresses; 404 when it has ended."""
    upload = await begin_upload(
        call,
        body,
        project=project,
        digest=digest,
        size_bytes=body.bytes,
        part_bytes=body.part_bytes,
        part_digests=body.part_digests,
        claim=body.format,
    )
    return await _document(call, upload)


@router.get(
    "/artifacts/{digest}/uploads/{upload_id}",
    responses=problems(404),
    summary="See which parts are there, to go on",
    dependencies=NEEDS_WRITE,
)
async def get_one_upload(project: Project, digest: DigestPath, upload_id: UploadId, call: Caller) -> UploadDocument:
    """With new addresses for the parts that are missing."""
    return await _document(call, await get_upload(call, upload_id, project=project, digest=digest))


@router.put(
    "/artifacts/{digest}/uploads/{upload_id}/parts/{number}",
    status_code=204,
    response_class=Response,
    responses=problems(400, 404),
    openapi_extra={
        "requestBody": {"required": True, "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}
    },
    summary="Upload a part through the registry",
    dependencies=NEEDS_WRITE,
)
async def put_part(
    project: Project,
    digest: DigestPath,
    upload_id: UploadId,
    number: PartNumber,
    request: HttpRequest,
    call: Caller,
) -> Response:
    """For storage without an address of its own. The part replaces one with the same number."""
    upload = await get_upload(call, upload_id, project=project, digest=digest)
    await take_part(call, upload, number=number, chunks=body_chunks(request))
    return Response(status_code=204)


@router.post(
    "/artifacts/{digest}/uploads/{upload_id}/complete",
    status_code=201,
    response_model=ArtifactDocument,
    responses={
        **problems(404, 409),
        200: {"model": ArtifactDocument, "description": "The project had this artifact already"},
    },
    summary="Complete an upload",
    dependencies=NEEDS_WRITE,
)
async def post_complete(project: Project, digest: DigestPath, upload_id: UploadId, call: Caller) -> Response:
    """The registry reads all of it: bytes with another digest are refused, and the upload is over."""
    return await complete_upload(call, upload_id, project=project, digest=digest)


@router.delete(
    "/artifacts/{digest}/uploads/{upload_id}",
    status_code=204,
    response_class=Response,
    responses=problems(404, 409),
    summary="Abort an upload",
    dependencies=NEEDS_WRITE,
)
async def delete_one_upload(project: Project, digest: DigestPath, upload_id: UploadId, call: Caller) -> Response:
    """Its parts are removed from the storage."""
    return await abort_upload(call, upload_id, project=project, digest=digest)


async def _document(call: Call, upload: Upload) -> UploadDocument:
    there = await call.services.artifacts.list_parts(upload.staging)
    parts = [
        await _part(call, upload, number=number, size_bytes=size_bytes, received=there.get(number) == size_bytes)
        for number, size_bytes in enumerate(upload.sizes, start=1)
    ]
    through_registry = any(part.url is not None and part.url.startswith("/") for part in parts)
    return UploadDocument(
        upload_id=str(upload.id),
        digest=upload.digest,
        artifact_bytes=upload.size_bytes,
        part_bytes=upload.part_bytes,
        through="registry" if through_registry else "storage",
        parts=parts,
        created_at=upload.created_at,
    )


async def _part(call: Call, upload: Upload, *, number: int, size_bytes: int, received: bool) -> PartDocument:
    if received:
        return PartDocument(number=number, bytes=size_bytes, received=True, url=None, headers={})
    checksum = bytes.fromhex(upload.part_digests[number - 1]) if upload.part_digests else None
    target = await call.services.artifacts.part_target(upload.staging, number=number, checksum=checksum)
    if target is not None:
        return PartDocument(
            number=number, bytes=size_bytes, received=False, url=target.url, headers=dict(target.headers)
        )
    url = f"{uri_of(upload.project, upload.digest)}/uploads/{upload.id}/parts/{number}"
    return PartDocument(number=number, bytes=size_bytes, received=False, url=url, headers={})
