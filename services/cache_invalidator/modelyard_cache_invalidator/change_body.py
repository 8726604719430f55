"""The body of a change: bounded before it is read, and understood in one way only."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from modelyard_events.strict_json import JsonRefusedError, read_json
from modelyard_runtime.problems import InvalidRequestError, ProblemError, UnsupportedMediaTypeError

BODY_BYTES_MAX = 65_536
"""A change has four short fields; a megabyte of JSON would hold others up."""
JSON_TYPE = "application/json"

Handle = Callable[[Request], Awaitable[Response]]


class ChangeTooLargeError(ProblemError):
    """The body is larger than any change of an entity."""

    code = "change-too-large"
    status = 413
    when = "The reported change is larger than one change of one entity can be."
    fix = "Send one change of one entity in each request."


class ChangeInvalidError(InvalidRequestError):
    """The body is not JSON as it is taken here."""

    code = "change-invalid"
    when = "The body is not JSON, is not UTF-8, or has a member twice."
    fix = "Send JSON (RFC 8259) in UTF-8, each member once."


class ChangeRoute(APIRoute):
    """An operation whose body is read here, once, before the framework sees it."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The framework's handler, behind the reading of the body."""
        handle: Handle = super().get_route_handler()

        async def read(request: Request) -> Response:
            body = await _bounded(request)
            if body:
                _refuse_other_types(request)
                # Where the framework keeps what it has parsed: it parses nothing again.
                request._json = _parsed(body)
            return await handle(request)

        return read


async def _bounded(request: Request) -> bytes:
    chunks, received = [], 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > BODY_BYTES_MAX:
            raise ChangeTooLargeError(f"body: has more than {BODY_BYTES_MAX} bytes.")
        chunks.append(chunk)
    body = b"".join(chunks)
    request._body = body
    return body


def _refuse_other_types(request: Request) -> None:
    said = request.headers.get("content-type")
    if said is None or said.partition(";")[0].strip().lower() != JSON_TYPE:
        came = "is missing" if said is None else f"{said[:100]!r} came"
        raise UnsupportedMediaTypeError(
            f"header.content-type: {came}.", fix=f"Send JSON with content-type: {JSON_TYPE}, in UTF-8."
        )


def _parsed(body: bytes) -> object:
    try:
        return read_json(body)
    except JsonRefusedError as error:
        raise ChangeInvalidError(f"body: {error}.") from error
