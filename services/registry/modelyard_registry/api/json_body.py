"""Bodies: read up to the limit of their operation, of the type that they say, and parsed once."""

import asyncio
from email.message import Message

from fastapi import Request
from modelyard_events.strict_json import JsonRefusedError, read_json
from modelyard_runtime.problems import InvalidRequestError, UnsupportedMediaTypeError

from modelyard_registry.api.body_limit import too_large
from modelyard_registry.api.inputs import READING

BODY_BYTES_MAX = 1_500_000
"""A body becomes an event, which has a million bytes at most; JSON may write a character in six bytes."""

AT_ONCE_BYTES_MAX = 100_000
"""A larger body is parsed beside the event loop, which serves others meanwhile."""

_SAYS_NOTHING = (b"", b"{}", b"null")


class JsonInvalidError(InvalidRequestError):
    """The body is not JSON as it is taken here."""

    code = "json-invalid"
    when = "The body is not JSON, is not UTF-8, or has a member twice."
    fix = "Send JSON (RFC 8259) in UTF-8, each member once."


class BodyNotTakenError(InvalidRequestError):
    """The operation takes no body."""

    code = "body-not-taken"
    when = "The request has a body, and the operation takes none."
    fix = "Leave the body out; what this operation takes is in its path, query and headers."


async def read_json_body(request: Request, *, bytes_max: int = BODY_BYTES_MAX) -> None:
    """Read and parse the body, and leave both to the framework.

    Raises UnsupportedMediaTypeError, BodyTooLargeError or JsonInvalidError.
    """
    body = await _read(request, bytes_max=bytes_max)
    if not body:
        return
    refuse_other_types(request)
    # Where the framework keeps what it has parsed: it parses nothing again.
    request._json = parsed(body) if len(body) <= AT_ONCE_BYTES_MAX else await asyncio.to_thread(parsed, body)


async def refuse_any_body(request: Request) -> None:
    """Raise BodyNotTakenError when a body says something, which would be dropped."""
    if request.method in READING or not _announces_body(request):
        return
    body = await _read(request, bytes_max=BODY_BYTES_MAX)
    if body.strip() not in _SAYS_NOTHING:
        raise BodyNotTakenError(f"body: {request.method} {request.url.path} takes none.")


def parsed(body: bytes) -> object:
    """What a JSON body says. Raises JsonInvalidError."""
    try:
        return read_json(body)
    except JsonRefusedError as error:
        raise JsonInvalidError(
            f"body: {error}.",
            errors=[{"location": "body", "message": str(error)}],
        ) from error


def refuse_other_types(request: Request) -> None:
    """Raise UnsupportedMediaTypeError unless the headers say that the body is JSON, as it is."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaTypeError(
            f"header.content-encoding: {encoding[:100]!r} is not taken.",
            fix="Send the body as it is, without compression, and leave content-encoding out.",
        )
    said = request.headers.get("content-type")
    if said is None:
        raise UnsupportedMediaTypeError(
            "header.content-type: is missing.", fix="Send content-type: application/json with the body."
        )
    if not _is_json(said):
        raise UnsupportedMediaTypeError(
            f"header.content-type: {said[:100]!r} came.", fix="Send JSON with content-type: application/json, in UTF-8."
        )


def _is_json(said: str) -> bool:
    if said == "application/json":
        return True  # As almost all say it: parsing the header takes longer than parsing a small body.
    message = Message()
    message["content-type"] = said
    subtype, charset = message.get_content_subtype(), message.get_content_charset("utf-8")
    is_json = subtype == "json" or subtype.endswith("+json")
    return message.get_content_maintype() == "application" and is_json and charset in ("utf-8", "utf8", "us-ascii")


async def _read(request: Request, *, bytes_max: int) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and len(announced) < 20 and int(announced) > bytes_max:
        raise too_large(bytes_max)
    chunks, received = [], 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > bytes_max:
            raise too_large(bytes_max)
        chunks.append(chunk)
    body = b"".join(chunks)
    request._body = body
    return body


def _announces_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
