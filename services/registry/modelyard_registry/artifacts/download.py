"""Bytes on their way out: proved by their digest, never shown inline, and broken off when they are wrong."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from fastapi import Depends, Header, Request
from fastapi.responses import Response, StreamingResponse
from modelyard_runtime.http.head_requests import is_head_request
from modelyard_runtime.problems import NotFoundError, documented, problem_response
from starlette.types import Receive, Scope, Send

from modelyard_registry.api import Call, problems
from modelyard_registry.artifact_stores.ports import ArtifactDamagedError, ArtifactStoreUnavailableError
from modelyard_registry.artifacts.manifest import FILES_MAX, Manifest
from modelyard_registry.artifacts.ranges import (
    HEADER_CHARS_MAX,
    ByteRange,
    RangeNotSatisfiableError,
    decide_range,
    holds_tag,
)
from modelyard_registry.artifacts.records import ArtifactKind, ArtifactRecord, find_artifact, list_folder_files
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
    206: {
        "description": "The range that `Range` asks for. It is not checked alone: compare the digest of the whole",
        "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "The caller has these bytes already"},
    **documented({416: "The file has no such bytes; `size_bytes` says how many it has"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeConditions:
    """What the caller has already, and which bytes it asks for. `head_only`: no bytes at all."""

    if_none_match: str | None
    byte_range: str | None
    if_range: str | None
    head_only: bool


async def _conditions(
    request: Request,
    if_none_match: Annotated[
        str | None,
        Header(max_length=HEADER_CHARS_MAX, description="ETags of what the caller has: one of these is answered 304."),
    ] = None,
    byte_range: Annotated[
        str | None,
        Header(
            alias="range",
            max_length=HEADER_CHARS_MAX,
            description="One range of a file, such as `bytes=0-1023`; answered 206.",
        ),
    ] = None,
    if_range: Annotated[
        str | None,
        Header(max_length=HEADER_CHARS_MAX, description="The ETag that the range belongs to; else all is answered."),
    ] = None,
) -> RangeConditions:
    return RangeConditions(
        if_none_match=if_none_match, byte_range=byte_range, if_range=if_range, head_only=is_head_request(request.scope)
    )


Asked = Annotated[RangeConditions, Depends(_conditions)]
"""What is asked of a download, as an operation's parameter."""


class ArtifactNotFoundError(NotFoundError):
    """The project has no such artifact."""

    code = "artifact-not-found"
    when = "No artifact of this digest was uploaded to the project."
    fix = "Check the digest and the project, or upload the artifact with PUT to this address."


async def get_record(call: Call, *, project: str, digest: str) -> ArtifactRecord:
    """The artifact, when this project has it for the caller.

    Raises ArtifactNotFoundError, also when another project has it, or no version of which the caller may know.
    """
    async with call.services.database.reading() as connection:
        artifact = await find_artifact(connection, project=project, digest=digest)
        if not await is_artifact_visible(connection, call, project=project, digest=digest):
            artifact = None
    if artifact is None:
        raise ArtifactNotFoundError(f"The project {project} has no artifact {digest}.")
    return artifact


async def download(call: Call, asked: RangeConditions, *, project: str, digest: str) -> Response:
    """The answer that gives an artifact of the project out: its bytes, or a folder's manifest."""
    artifact = await get_record(call, project=project, digest=digest)
    if artifact.kind is ArtifactKind.FILE:
        return await stream(call, asked, digest=digest, size_bytes=artifact.size_bytes)
    content = (await read_manifest(call, project=project, digest=digest)).content
    headers = headers_of(digest, size_bytes=len(content))
    if holds_tag(asked.if_none_match, headers["etag"]):
        return Response(status_code=304, headers={"etag": headers["etag"]})
    return Response(content, media_type=MANIFEST, headers=headers)


async def read_manifest(call: Call, *, project: str, digest: str) -> Manifest:
    """What the folder consists of."""
    async with call.services.database.reading() as connection:
        files = await list_folder_files(connection, project=project, folder=digest, after="", limit=FILES_MAX)
    return Manifest(files=tuple(files))


async def stream(call: Call, asked: RangeConditions, *, digest: str, size_bytes: int) -> Response:
    """The answer that streams a file or a range of it. What is wrong in the first chunk is told as a problem."""
    headers = {**headers_of(digest, size_bytes=size_bytes), "accept-ranges": "bytes"}
    if holds_tag(asked.if_none_match, headers["etag"]):
        return Response(status_code=304, headers={"etag": headers["etag"]})
    if asked.head_only or size_bytes == 0:  # An empty file is in folders only, and needed no upload.
        return Response(b"", media_type=OCTETS, headers=headers)
    try:
        span = decide_range(asked.byte_range, if_range=asked.if_range, etag=headers["etag"], size_bytes=size_bytes)
    except RangeNotSatisfiableError as error:
        response = problem_response(error)
        response.headers["content-range"] = f"bytes */{size_bytes}"
        return response
    if span is None:
        return await _streamed(call.services.artifacts.read(digest), headers, status=200)
    headers["content-range"] = f"bytes {span.first}-{span.last}/{size_bytes}"
    headers["content-length"] = str(span.size_bytes)
    return await _streamed(_chunks_of(call, digest, span, size_bytes=size_bytes), headers, status=206)


def _chunks_of(call: Call, digest: str, span: ByteRange, *, size_bytes: int) -> AsyncIterator[bytes]:
    if span.size_bytes == size_bytes:  # All of it can be proved.
        return call.services.artifacts.read(digest)
    return call.services.artifacts.read_range(digest, first=span.first, last=span.last)


async def _streamed(chunks: AsyncIterator[bytes], headers: dict[str, str], *, status: int) -> Response:
    first = await anext(chunks, b"")
    return _ProvedStream(_resumed(first, chunks), status_code=status, media_type=OCTETS, headers=headers)


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
