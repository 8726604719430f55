"""Uploading and downloading artifacts: streamed, and proved by their digest both ways."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from modelyard_events.values import Digest
from modelyard_runtime.access.permissions import Permission

from modelyard_registry.api import NO_ETAG, Answer, Call, Caller, Project, json_response, problems, requires
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.artifact_inspection.findings import Inspection
from modelyard_registry.artifact_stores.ports import IncomingArtifact
from modelyard_registry.artifacts.documents import ArtifactDocument
from modelyard_registry.artifacts.download import DOWNLOAD_RESPONSES, OCTETS, Asked, download
from modelyard_registry.artifacts.formats import FormatClaim, decide_format, refuse_contradicted
from modelyard_registry.artifacts.handlers import record_file
from modelyard_registry.artifacts.receiving import announced_bytes, body_chunks, refuse_other_bytes
from modelyard_registry.metrics import ARTIFACT_BYTES

router = APIRouter(tags=["artifacts"], route_class=BoundedRoute)

DigestPath = Annotated[
    Digest, Path(description="`sha256:` and the artifact's SHA-256.", examples=["sha256:" + "9f" * 32])
]
ClaimQuery = Annotated[
    FormatClaim | None, Query(alias="format", description="What the artifact is; refused when its bytes disagree.")
]


@router.put(
    "/artifacts/{digest}",
    status_code=201,
    response_model=ArtifactDocument,
    responses={
        **problems(400, 409, 413),
        200: {"model": ArtifactDocument, "description": "The project had this artifact already"},
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
    summary="Upload an artifact",
    dependencies=[requires(Permission.ARTIFACTS_WRITE), NO_ETAG],
)
async def put_artifact(
    project: Project,
    digest: DigestPath,
    request: Request,
    call: Caller,
    claim: ClaimQuery = None,
) -> Response:
    """The raw bytes as the body. They are kept only when they have the digest in the path; sending the same
    artifact again changes nothing."""
    services = call.services
    size_bytes = announced_bytes(request, bytes_max=services.artifact_bytes_max)
    async with services.artifacts.receive(body_chunks(request), bytes_max=services.artifact_bytes_max) as incoming:
        refuse_other_bytes(incoming, digest=digest, size_bytes=size_bytes)
        refuse_contradicted(incoming.head, claim=claim)
        await incoming.keep()
        # Bytes without a row, should this process end here, are found by the next upload of the same artifact.
        inspection = await services.inspector.inspect_file(
            services.artifacts, incoming.digest, size_bytes=incoming.size_bytes
        )
        return json_response(await _record(call, incoming, project=project, inspection=inspection, claim=claim))


async def _record(
    call: Call, incoming: IncomingArtifact, *, project: str, inspection: Inspection, claim: FormatClaim | None
) -> Answer:
    kind = decide_format(inspection.format, claim=claim)
    async with call.services.unit_of_work(call.context) as tx:
        received = await record_file(
            tx,
            project=project,
            digest=incoming.digest,
            size_bytes=incoming.size_bytes,
            format_name=kind,
            inspection=inspection,
            claim=claim,
        )
    if received.is_new:
        ARTIFACT_BYTES.inc(received.artifact.size_bytes)
    return Answer(status=201 if received.is_new else 200, body=ArtifactDocument.of(received.artifact))


@router.get(
    "/artifacts/{digest}",
    response_class=Response,
    responses=DOWNLOAD_RESPONSES,
    summary="Download an artifact",
    dependencies=[requires(Permission.ARTIFACTS_READ_PRODUCTION)],
)
async def get_artifact(
    project: Project,
    digest: DigestPath,
    call: Caller,
    asked: Asked,
) -> Response:
    """The bytes, checked against the digest on the way: a transfer that is complete is right. Of a folder, its
    manifest; its files are below `…/files`."""
    return await download(call, asked, project=project, digest=digest)
