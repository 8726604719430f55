"""Bytes on their way out: proved by their digest, never shown inline, and broken off when they are wrong."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import structlog
from fastapi.responses import Response, StreamingResponse
from modelyard_runtime.problems import NotFoundError
from starlette.types import Receive, Scope, Send

from modelyard_registry.artifacts.manifest import FILES_MAX, Manifest
from modelyard_registry.artifacts.ports import ArtifactDamagedError, ArtifactStoreUnavailableError
from modelyard_registry.artifacts.records import ArtifactRecord, Kind, find_artifact, list_folder_files
from modelyard_registry.http import Call, problems
from modelyard_registry.models.visibility import is_artifact_visible

log = structlog.get_logger()

OCTETS = "application/octet-stream"
MANIFEST = "application/vnd.modelyard.manifest+json"
DOWNLOAD_RESPONSES: dict[int | str, dict[str, Any]] = {
    **problems(404),
    200: {
        "description": "The bytes; a transfer that breaks off was damaged and must not be used."
        " Of a folder, its manifest, which has the folder's digest",
        "content": {
            OCTETS: {"schema": {"type": "string", "format": "binary"}},
            MANIFEST: {"schema": {"type": "object"}},
        },
    },
    304: {"description": "The caller has these bytes already"},
}


class ArtifactNotFoundError(NotFoundError):
    """The project has no such artifact."""


async def get_record(call: Call, *, project: str, digest: str) -> ArtifactRecord:
    """The artifact, when this project has it for the caller.

    Raises ArtifactNotFoundError, also when another project has it, or no version of which the caller may know.
    """
    async with call.services.database.reading() as connection:
        artifact = await find_artifact(connection, project=project, digest=digest)
        if not await is_artifact_visible(connection, call, project=project, digest=digest):
            artifact = None
    if artifact is None:
        raise ArtifactNotFoundError(
            f"The project {project} has no artifact {digest}.",
            fix="Check the digest and the project, or upload the artifact with PUT to this address.",
        )
    return artifact


async def download(call: Call, *, project: str, digest: str, if_none_match: str | None) -> Response:
    """The answer that gives an artifact of the project out: its bytes, or a folder's manifest."""
    artifact = await get_record(call, project=project, digest=digest)
    if artifact.kind is Kind.FILE:
        return await stream(call, digest=digest, size_bytes=artifact.size_bytes, if_none_match=if_none_match)
    content = (await read_manifest(call, project=project, digest=digest)).content
    headers = headers_of(digest, size_bytes=len(content))
    if if_none_match is not None and headers["etag"] in if_none_match:
        return Response(status_code=304, headers={"etag": headers["etag"]})
    return Response(content, media_type=MANIFEST, headers=headers)


async def read_manifest(call: Call, *, project: str, digest: str) -> Manifest:
    """What the folder consists of."""
    async with call.services.database.reading() as connection:
        files = await list_folder_files(connection, project=project, folder=digest, after="", limit=FILES_MAX)
    return Manifest(files=tuple(files))


async def stream(call: Call, *, digest: str, size_bytes: int, if_none_match: str | None) -> Response:
    """The answer that streams a file. What is wrong in the first chunk is still told as a problem."""
    headers = headers_of(digest, size_bytes=size_bytes)
    if if_none_match is not None and headers["etag"] in if_none_match:
        return Response(status_code=304, headers={"etag": headers["etag"]})
    if size_bytes == 0:  # Such a file is in folders only, and needed no upload.
        return Response(b"", media_type=OCTETS, headers=headers)
    chunks = call.services.artifacts.read(digest)
    first = await anext(chunks, b"")
    return _ProvedStream(_resumed(first, chunks), media_type=OCTETS, headers=headers)


def headers_of(digest: str, *, size_bytes: int) -> dict[str, str]:
    """The headers that describe an artifact, and keep browsers from showing it."""
    encoded = base64.b64encode(bytes.fromhex(digest.removeprefix("sha256:"))).decode()
    return {
        "etag": f'"{digest}"',
        "digest": f"sha-256={encoded}",
        "content-length": str(size_bytes),
        "content-disposition": "attachment",
        "x-content-type-options": "nosniff",
    }


class _ProvedStream(StreamingResponse):
    """Breaks off when the bytes turn out to be wrong: an answer that is left unfinished closes its connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except ArtifactDamagedError as error:
            log.critical("artifact_damaged", detail=error.detail)
        except ArtifactStoreUnavailableError as error:
            log.error("artifact_download_broken_off", detail=error.detail)


async def _resumed(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
