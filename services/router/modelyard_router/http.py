"""The hot path: the frequent operations as a bare ASGI callable in front of FastAPI, which answers everything else.

A request of a frequent operation does not enter the framework, which would cost several times as much as the
decision. Both ways use the same code for tokens and problems.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
import structlog
from modelyard_runtime.authentication import Authentication
from modelyard_runtime.principals import Principal, bearer_of, several_tokens
from modelyard_runtime.problems import MEDIA_TYPE, ForbiddenError, ProblemError
from modelyard_runtime.refusals import RefusalFacts

from modelyard_router.problems import BodyTooLargeError, MethodNotAllowedError, encoded_body, malformed_length
from modelyard_router.state import RouteState

log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Operation = Callable[[bytes, Principal], bytes] | Callable[[bytes, Principal], Awaitable[bytes]]
"""Answers a body for a caller who has proved who it is."""

EXAMPLE = '{"model_type": "risk-scoring", "tenant": "acme"}'
LENGTH_DIGITS_MAX = 18
AGE_HEADER = b"x-modelyard-route-age"
JSON_HEADER = (b"content-type", b"application/json")


class HotPath:
    """An ASGI application: `operations` by path, all of them POST, before `rest`."""

    def __init__(
        self,
        rest: Application,
        *,
        operations: dict[str, Operation],
        authentication: Authentication,
        refusals: RefusalFacts,
        state: RouteState,
        body_bytes_max: int,
    ) -> None:
        self._rest = rest
        self._operations = operations
        self._authentication = authentication
        self._refusals = refusals
        self._state = state
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        operation = self._operations.get(scope["path"]) if scope["type"] == "http" else None
        if operation is None:
            await self._rest(scope, receive, send)
            return
        caller: Principal | None = None
        try:
            token = self._token(scope)
            # Almost always known at once: only a token that was never seen is waited for.
            caller = self._authentication.find(token) if token else None
            if caller is None:
                caller = await self._authentication.authenticate(token)
            scope.setdefault("state", {})["principal"] = caller
            body = await self._body(receive)
            if body is None:
                return
            answer = operation(body, caller)
            if not isinstance(answer, bytes):
                answer = await answer
        except ProblemError as problem:
            if isinstance(problem, ForbiddenError) and caller is not None:
                self._note(problem, scope, caller)
            await _send(send, problem.status, _problem_headers(problem), orjson.dumps(problem.body()))
        except Exception as error:
            # The last resort of the hot operations, as `install_problems` has one for the others.
            log.error("request_failed", path=scope["path"], exc_info=error)
            bug = ProblemError(
                "An unexpected error stopped the request; nothing was changed.",
                fix="Try again; if it happens again, tell the operators the time of the request.",
            )
            await _send(send, bug.status, _problem_headers(bug), orjson.dumps(bug.body()))
        else:
            # Seconds since the routes were last known to be complete: near 0 unless Kafka is away.
            age = (AGE_HEADER, b"%d" % self._state.age_s)
            await _send(send, 200, [JSON_HEADER, age], answer)

    def _note(self, problem: ForbiddenError, scope: Scope, caller: Principal) -> None:
        given = [value for name, value in scope["headers"] if name == b"x-request-id"]
        self._refusals.note(
            problem,
            actor=caller.actor,
            method=scope["method"],
            path=scope["path"],
            request_id=given[0].decode("latin-1") if given else None,
            home_project=caller.home_project,
        )

    def _token(self, scope: Scope) -> str | None:
        """What proves who sends this POST, before anything of its body is read. Raises ProblemError."""
        if scope["method"] != "POST":
            raise MethodNotAllowedError(
                f"{scope['path']} does not take {scope['method']}.",
                fix=f"Send a POST with a JSON object as its body, such as {EXAMPLE}; /docs shows every member.",
            )
        authorizations: list[bytes] = []
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorizations.append(value)
            elif name == b"content-length":
                self._judge_length(value)
            elif name == b"content-encoding" and value.lower() != b"identity":
                raise encoded_body(value)
        if len(authorizations) > 1:
            raise several_tokens()
        return bearer_of(authorizations[0].decode("latin-1")) if authorizations else None

    def _judge_length(self, value: bytes) -> None:
        if not value.isdigit():
            raise malformed_length(value)
        # Compared as text first: a number of thousands of digits is not computed.
        if len(value.lstrip(b"0")) > LENGTH_DIGITS_MAX or int(value) > self._body_bytes_max:
            raise self._too_large()

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body, or None when the caller has gone."""
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk = message.get("body", b"")
            if not message.get("more_body", False) and not chunks:
                if len(chunk) > self._body_bytes_max:
                    raise self._too_large()
                return bytes(chunk)
            size += len(chunk)
            if size > self._body_bytes_max:
                raise self._too_large()
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(
            f"The body has more than {self._body_bytes_max} bytes.", fix="Send fewer rows in one request."
        )


def _problem_headers(problem: ProblemError) -> list[tuple[bytes, bytes]]:
    own = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    return [(b"content-type", MEDIA_TYPE.encode()), *own]


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
