"""The registration fast path: usual requests are registered before they enter the framework.

The framework would cost several times as much as a request's share of a commit. A request that is unusual in any way,
and every request that must be refused before it is an order, goes on to the operation, so that errors are told in one
place.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from modelyard_events.strict_json import read_json
from modelyard_events.values import SLUG
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.access.principals import Principal
from modelyard_runtime.http.encoded_paths import normal_path
from modelyard_runtime.problems import InvalidRequestError, ProblemError, problem_response
from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard_registry.api import Services, address_of, are_acceptable, call_of
from modelyard_registry.api.json_body import BODY_BYTES_MAX
from modelyard_registry.models.documents import NewModelVersion
from modelyard_registry.projects.known import KnownProjects
from modelyard_registry.registration.http import headers_of, order_of
from modelyard_registry.registration.registrar import Order, Registered, Registrar

_PATH = re.compile(f"/api/v1/projects/({SLUG})/registered-models/({SLUG})/versions")
_JSON = b"application/json"
_NAMES = {
    b"x-request-id": "request_id",
    b"x-correlation-id": "correlation_id",
    b"idempotency-key": "idempotency_key",
    b"if-match": "if_match",
}
"""The headers that an operation takes, by the names that `call_of` gives them."""


@dataclass(frozen=True, slots=True)
class _Operation:
    """What the request meter wants to know of a route."""

    name: str


class RegistrationFastPath:
    """ASGI middleware, innermost of all: registers versions, and passes everything else on."""

    def __init__(
        self, app: ASGIApp, *, services: Services, registrar: Registrar, projects: KnownProjects, operation: str
    ) -> None:
        self._app = app
        self._services = services
        self._registrar = registrar
        self._projects = projects
        self._operation = _Operation(operation)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a usual registration, or hand the request on with its body."""
        named = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if named is None:
            return await self._app(scope, receive, send)
        headers = self._find_headers(scope, project=named[1])
        if headers is None:
            return await self._app(scope, receive, send)
        body = await _read(receive)
        if body is None:
            return None
        order = self._find_order(scope, headers, body, project=named[1], name=named[2])
        if order is None:
            return await self._app(scope, _once_more(body, receive), send)
        scope["route"] = self._operation
        try:
            await self._projects.refuse_unless_known(named[1], caller=scope["state"]["principal"])
            registered = await self._registrar.register(order)
        except ProblemError as problem:
            return await problem_response(problem)(scope, receive, send)
        return await _send(send, registered)

    def _find_headers(self, scope: Scope, *, project: str) -> Mapping[str, str | None] | None:
        """The headers of a usual request; None when the operation is to answer, before the body is read."""
        principal: Principal = scope["state"]["principal"]
        if scope["query_string"] or not principal.may(Permission.VERSIONS_REGISTER, project):
            return None
        return _headers_of(scope)

    def _find_order(
        self, scope: Scope, headers: Mapping[str, str | None], body: bytes, *, project: str, name: str
    ) -> Order | None:
        """The order that a usual request makes; None when the operation is to answer."""
        if len(body) > BODY_BYTES_MAX:
            return None
        try:
            document = read_json(body)
            call = call_of(
                self._services,
                scope["state"]["principal"],
                address=address_of("POST", normal_path(scope)),
                **headers,
            )
            return order_of(
                call, NewModelVersion.model_validate(document), project=project, name=name, size_bytes=len(body)
            )
        except (ValidationError, InvalidRequestError, ValueError, RecursionError):
            return None


def _headers_of(scope: Scope) -> Mapping[str, str | None] | None:
    """The headers of a usual request; None when one is repeated, or not as the operation takes it."""
    found: dict[bytes, bytes] = {}
    for header, value in scope["headers"]:
        if header in _NAMES or header in (b"content-type", b"content-encoding"):
            if header in found:
                return None
            found[header] = value
    if found.pop(b"content-type", None) != _JSON or b"content-encoding" in found:
        return None
    headers = {name: found[header].decode("latin-1") if header in found else None for header, name in _NAMES.items()}
    return headers if are_acceptable(**headers) else None


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None when the caller has gone."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _once_more(body: bytes, receive: Receive) -> Receive:
    """What the framework receives: the body that was read already, and then whatever else comes."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again


async def _send(send: Send, registered: Registered) -> None:
    body = registered.body.encode()
    headers = [
        (b"content-type", _JSON),
        (b"content-length", b"%d" % len(body)),
        *((name.encode(), value.encode()) for name, value in headers_of(registered).items()),
    ]
    await send({"type": "http.response.start", "status": registered.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
