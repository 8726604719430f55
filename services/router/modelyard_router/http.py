"""The hot path: the frequent operations as a bare ASGI callable in front of FastAPI, which answers everything else.

A request of a frequent operation does not enter the framework, which would cost several times as much as the
decision. Both ways use the same code for tokens and problems.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from modelyard_runtime.access.authentication import Authentication
from modelyard_runtime.access.principals import Principal, bearer_of, several_tokens
from modelyard_runtime.access.refusals import RefusalFacts
from modelyard_runtime.http.access_log import AccessLog
from modelyard_runtime.http.at_once import Answer, Headers
from modelyard_runtime.http.request_ids import REQUEST_ID, RequestIdInvalidError, RequestNames, names_of, naming
from modelyard_runtime.ids import NewId
from modelyard_runtime.problems import MEDIA_TYPE, ForbiddenError, ProblemError

from modelyard_router.problems import PostOnlyError, RequestTooLargeError, encoded_body, malformed_length
from modelyard_router.state import RoutingState

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


@dataclass(slots=True)
class _Call:
    """A request of a frequent operation; `caller` is known from when its token was judged."""

    method: str
    path: str
    headers: Headers
    names: RequestNames
    began_s: float
    caller: Principal | None = None


class HotPath:
    """An ASGI application: `operations` by path, all of them POST, before `rest`.

    Those `at_once` never wait: the server may ask for their answers without ASGI, see `AnswersAtOnce`.
    """

    def __init__(
        self,
        rest: Application,
        *,
        operations: dict[str, Operation],
        at_once: frozenset[str],
        authentication: Authentication,
        refusals: RefusalFacts,
        state: RoutingState,
        body_bytes_max: int,
        new_id: NewId,
        access_log: AccessLog,
    ) -> None:
        self._rest = rest
        self._operations = operations
        self._at_once = {path.encode(): path for path in at_once}
        self._authentication = authentication
        self._refusals = refusals
        self._state = state
        self._body_bytes_max = body_bytes_max
        self._new_id = new_id
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        operation = self._operations.get(scope["path"]) if scope["type"] == "http" else None
        if operation is None:
            await self._rest(scope, receive, send)
            return
        call, refusal = self._begun(scope["method"], scope["path"], scope["headers"])
        answer: Answer | None = None
        try:
            with naming(call.names):
                answer = await self._answer(call, operation, receive) if refusal is None else _refused(call, refusal)
            if answer is not None:
                await _send(send, answer)
        finally:
            self._note_end(call, answer)

    def may_answer_at_once(self, target: bytes) -> bool:
        """Whether the operation there never waits."""
        return target in self._at_once

    def answer_at_once(self, target: bytes, headers: Headers, body: bytes) -> Answer | None:
        """Answer a POST whose caller is known without waiting."""
        path = self._at_once[target]
        call, refusal = self._begun("POST", path, headers)
        with naming(call.names):
            try:
                token = None if refusal is not None else self._token(call)
                call.caller = self._authentication.find(token) if token else None
                if call.caller is None:
                    return None
                if len(body) > self._body_bytes_max:
                    raise self._too_large()
                answered = self._operations[path](body, call.caller)
                assert isinstance(answered, bytes)
                answer = self._answered(call, answered)
            except Exception as error:
                answer = self._refusal_of(call, error)
        self._note_end(call, answer)
        return answer

    def _begun(self, method: str, path: str, headers: Headers) -> tuple[_Call, RequestIdInvalidError | None]:
        began_s = self._access_log.seconds()
        try:
            return _Call(method, path, headers, names_of(headers, new_id=self._new_id), began_s), None
        except RequestIdInvalidError as error:
            return _Call(method, path, headers, RequestNames(self._new_id()), began_s), error

    async def _answer(self, call: _Call, operation: Operation, receive: Receive) -> Answer | None:
        """The answer, or None when the caller has gone."""
        try:
            token = self._token(call)
            # Almost always known at once: only a token that was never seen is waited for.
            call.caller = self._authentication.find(token) if token else None
            if call.caller is None:
                call.caller = await self._authentication.authenticate(token)
            body = await self._body(receive)
            if body is None:
                return None
            answered = operation(body, call.caller)
            return self._answered(call, answered if isinstance(answered, bytes) else await answered)
        except Exception as error:
            return self._refusal_of(call, error)

    def _answered(self, call: _Call, body: bytes) -> Answer:
        # Seconds since the routes were last known to be complete: near 0 unless Kafka is away.
        age = (AGE_HEADER, b"%d" % self._state.age_s)
        return Answer(200, (JSON_HEADER, age, (REQUEST_ID, call.names.request_id.encode())), body)

    def _refusal_of(self, call: _Call, error: Exception) -> Answer:
        if isinstance(error, ProblemError):
            if isinstance(error, ForbiddenError) and call.caller is not None:
                self._note_forbidden(error, call, call.caller)
            return _refused(call, error)
        # The last resort of the hot operations, as `install_problems` has one for the others.
        log.error("request_failed", path=call.path, exc_info=error)
        bug = ProblemError(
            "An unexpected error stopped the request; nothing was changed.",
            fix="Try again; if it happens again, tell the operators the time of the request.",
        )
        return _refused(call, bug)

    def _note_forbidden(self, problem: ForbiddenError, call: _Call, caller: Principal) -> None:
        self._refusals.note(
            problem,
            actor=caller.actor,
            method=call.method,
            path=call.path,
            request_id=call.names.request_id,
            home_project=caller.home_project,
        )

    def _note_end(self, call: _Call, answer: Answer | None) -> None:
        self._access_log.note_hot(
            call.method,
            call.path,
            None if answer is None else answer.status,
            began_s=call.began_s,
            actor=None if call.caller is None else call.caller.actor,
        )

    def _token(self, call: _Call) -> str | None:
        """What proves who sends this POST, before anything of its body is read. Raises ProblemError."""
        if call.method != "POST":
            raise PostOnlyError(
                f"{call.path} does not take {call.method}.",
                fix=f"Send a POST with a JSON object as its body, such as {EXAMPLE}; /docs shows every member.",
            )
        authorizations: list[bytes] = []
        for name, value in call.headers:
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

    def _too_large(self) -> RequestTooLargeError:
        return RequestTooLargeError(f"The body has more than {self._body_bytes_max} bytes.")


def _refused(call: _Call, problem: ProblemError) -> Answer:
    own = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    headers = ((b"content-type", MEDIA_TYPE.encode()), *own, (REQUEST_ID, call.names.request_id.encode()))
    return Answer(problem.status, headers, orjson.dumps(problem.body()))


async def _send(send: Send, answer: Answer) -> None:
    length = (b"content-length", b"%d" % len(answer.body))
    await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, length]})
    await send({"type": "http.response.body", "body": answer.body})
