"""Bytes on their way in: a request's body as chunks that do not stall, and what they must turn out to be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import ClassVar

from fastapi import Request
from modelyard_runtime.problems import InvalidRequestError, ProblemError
from starlette.requests import ClientDisconnect

from modelyard_registry.artifact_stores.ports import ArtifactTooLargeError, IncomingArtifact

CHUNK_TIMEOUT_S = 30.0


class DigestMismatchError(InvalidRequestError):
    """The bytes do not have the digest that they were announced with."""

    code = "digest-mismatch"
    when = "The uploaded bytes have another SHA-256 than the path or the part list says."
    fix = "Compute the SHA-256 of the very bytes that are sent, and send them unchanged."


class ArtifactEmptyError(InvalidRequestError):
    """The artifact has no bytes."""

    code = "artifact-empty"
    when = "The body of an upload is empty."
    fix = "Send the artifact's bytes as the body of the request."


class UploadCutOffError(ProblemError):
    """The upload ended before all announced bytes had come."""

    code = "upload-cut-off"
    status: ClassVar[int] = 400
    when = "The connection ended before all announced bytes had come."
    fix = "Send them again; nothing of them was kept."


class UploadStalledError(ProblemError):
    """The upload stopped moving."""

    code = "upload-stalled"
    status: ClassVar[int] = 408
    when = "No bytes of the upload came for too long."
    fix = "Send them again; nothing of them was kept."


def announced_bytes(request: Request, *, bytes_max: int) -> int | None:
    """What the request says of its length, when it does. Raises ArtifactTooLargeError."""
    announced = request.headers.get("content-length", "")
    if not announced.isdigit():
        return None
    refuse_too_large(int(announced), bytes_max=bytes_max)
    return int(announced)


def refuse_too_large(size_bytes: int, *, bytes_max: int) -> None:
    """Raise ArtifactTooLargeError when the size that is announced is beyond what is accepted."""
    if size_bytes > bytes_max:
        raise ArtifactTooLargeError(f"The artifact has {size_bytes} bytes, and this registry accepts {bytes_max}.")


async def body_chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises UploadStalledError or UploadCutOffError when it stops coming."""
    async with aclosing(request.stream()) as stream:
        while True:
            try:
                async with asyncio.timeout(CHUNK_TIMEOUT_S):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise UploadStalledError(f"No bytes came for {CHUNK_TIMEOUT_S:g} s.") from error
            except ClientDisconnect as error:
                raise cut_off() from error
            yield chunk


def refuse_other_bytes(incoming: IncomingArtifact, *, digest: str, size_bytes: int | None) -> None:
    """Raise a problem unless exactly the announced bytes came."""
    if size_bytes is not None and incoming.size_bytes != size_bytes:
        raise cut_off()
    if incoming.size_bytes == 0:
        raise ArtifactEmptyError("The body is empty.")
    if incoming.digest != digest:
        raise DigestMismatchError(f"The bytes have the digest {incoming.digest}, and the path says {digest}.")


def cut_off() -> UploadCutOffError:
    """The problem of an upload that ended early."""
    return UploadCutOffError("The connection ended before all announced bytes had come.")
