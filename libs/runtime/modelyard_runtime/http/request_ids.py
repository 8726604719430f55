"""Names for each request: in its logs, in its answer, and in whatever is asked of others because of it.

`x-request-id` is the caller's name for the request, or one that is made up here. `traceparent` (W3C Trace Context) says
which trace it belongs to; the standard asks to replace an invalid one, so that is done. Code below finds the
`x-request-id` among the request's headers, whether the caller sent it or not.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import blake2b

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard_runtime.http.access_log import AccessLog
from modelyard_runtime.ids import NewId
from modelyard_runtime.problems import InvalidRequestError, problem_response

REQUEST_ID = b"x-request-id"
TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"
SHOWN_CHARS = 100
TRACESTATE_BYTES_MAX = 512
"""What the standard asks everybody to pass on; a longer one is dropped with its trace left as it is."""

_IS_REQUEST_ID = re.compile(rb"[!-~]{1,200}").fullmatch
_IS_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_IS_TRACESTATE = re.compile(rb"[ -~\t]*").fullmatch
_NAMED = "modelyard.request_names"


@dataclass(frozen=True, slots=True)
class RequestNames:
    """`request_id` names one request; `given_traceparent` and `tracestate` are what its caller sent, if it did."""

    request_id: str
    given_traceparent: str | None = None
    tracestate: str | None = None

    @property
    def traceparent(self) -> str:
        """The trace that the request belongs to: the caller's, or one that follows from the request's id."""
        if self.given_traceparent is not None:
            return self.given_traceparent
        digest = blake2b(self.request_id.encode(), digest_size=24).hexdigest()
        return f"00-{digest[:32]}-{digest[32:]}-00"

    @property
    def trace_id(self) -> str:
        """The 32 hexadecimal digits that all requests of one trace share."""
        return self.traceparent.split("-")[1]


class RequestIdInvalidError(InvalidRequestError):
    """The header x-request-id cannot name a request."""

    code = "request-id-invalid"
    when = "The header `x-request-id` is empty, too long, repeated, or not printable ASCII."
    fix = "Send one x-request-id of 1 to 200 printable ASCII characters, or none: then one is made up."


_current: ContextVar[RequestNames | None] = ContextVar("request_names", default=None)


def current_request() -> RequestNames | None:
    """The names of the request that is being answered, None outside of any."""
    return _current.get()


class naming:  # noqa: N801  # Used as a function; a generator would cost each request several times as much.
    """Let `names` be those of the request that is being answered until the body ends."""

    __slots__ = ("_before", "_names")

    def __init__(self, names: RequestNames) -> None:
        self._names = names

    def __enter__(self) -> None:
        self._before = _current.set(self._names)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._before)


def outgoing_headers() -> Mapping[str, str]:
    """The headers that a request to another service carries because of the one that is being answered."""
    names = _current.get()
    if names is None:
        return {}
    headers = {"x-request-id": names.request_id, "traceparent": names.traceparent}
    if names.tracestate is not None:
        headers["tracestate"] = names.tracestate
    return headers


def add_request_names(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A structlog processor: says in each line which request it is about."""
    names = _current.get()
    if names is not None:
        event.setdefault("request_id", names.request_id)
        event.setdefault("trace_id", names.trace_id)
    return event


def names_of(headers: list[tuple[bytes, bytes]], *, new_id: NewId) -> RequestNames:
    """The names that a request's headers give it, or a new one. Raises RequestIdInvalidError."""
    request_id: bytes | None = None
    trace: list[bytes] = []
    state: list[bytes] = []
    for name, value in headers:
        if name == REQUEST_ID:
            if request_id is not None:
                raise _invalid("it is there twice", value)
            request_id = value
        elif name == TRACEPARENT:
            trace.append(value)
        elif name == TRACESTATE:
            state.append(value)
    if request_id is None:
        name_of_ours = new_id()
        return RequestNames(name_of_ours, *_trace_of(trace, state)) if trace else RequestNames(name_of_ours)
    if not _IS_REQUEST_ID(request_id):
        raise _invalid("1 to 200 characters of printable ASCII without blanks are taken", request_id)
    return RequestNames(request_id.decode(), *_trace_of(trace, state)) if trace else RequestNames(request_id.decode())


class RequestIds:
    """ASGI middleware, outermost of all: names each request, answers its `x-request-id` and has it logged.

    A request whose `x-request-id` is no printable ASCII, is longer than 200 characters or is there twice is
    answered 422: under another name its caller would not find it again.
    """

    def __init__(self, app: ASGIApp, *, new_id: NewId, access_log: AccessLog) -> None:
        self._app = app
        self._new_id = new_id
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its names."""
        if scope["type"] != "http" or _NAMED in scope:
            return await self._app(scope, receive, send)
        began_s = self._access_log.seconds()
        status: int | None = None
        try:
            names, refusal = names_of(scope["headers"], new_id=self._new_id), None
        except RequestIdInvalidError as error:
            names, refusal = RequestNames(self._new_id()), error
        _current.set(names)
        scope[_NAMED] = names
        header = (REQUEST_ID, names.request_id.encode())
        if not any(name == REQUEST_ID for name, _ in scope["headers"]):
            scope["headers"] = [*scope["headers"], header]

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        try:
            if refusal is None:
                await self._app(scope, receive, answer)
            else:
                await problem_response(refusal)(scope, receive, answer)
        finally:
            self._access_log.note(scope, status, began_s=began_s)
        return None


def _trace_of(trace: list[bytes], state: list[bytes]) -> tuple[str | None, str | None]:
    if len(trace) != 1 or not _IS_TRACEPARENT(trace[0]):
        return None, None
    whole = b",".join(state)
    is_passed_on = 0 < len(whole) <= TRACESTATE_BYTES_MAX and _IS_TRACESTATE(whole)
    return trace[0].decode(), whole.decode() if is_passed_on else None


def _invalid(why: str, value: bytes) -> RequestIdInvalidError:
    shown = value[:SHOWN_CHARS].decode("latin-1")
    return RequestIdInvalidError(
        f"header.x-request-id: {why}; {shown!r} came.",
        errors=[{"location": "header.x-request-id", "message": f"{why}; {shown!r} came"}],
    )
