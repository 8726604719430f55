"""Errors as callers see them: problem+json (RFC 9457) that names what is wrong and how to mend it.

A refusal is a class that carries its code and status; its docstring is the title. `install_problems` makes a
FastAPI application answer every error, its framework's own included, in this one form.
docs/reference/problems.md lists every kind.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from modelyard_runtime.refused_values import all_in_words

MEDIA_TYPE = "application/problem+json"
ERRORS_TOLD_MAX = 20

log = structlog.get_logger()


class ProblemError(Exception):
    """The request could not be answered.

    `detail` says what is wrong with this request, `fix` what the caller can do, `extra` are further
    members of the answer that a program may read.

    A subclass states its own `code`, by which callers tell problems apart: it never changes, even if the class is
    renamed. `when` says when the problem is answered, and the class's `fix` what helps, unless a request needs
    another.
    """

    code: ClassVar[str] = "problem"
    status: ClassVar[int] = 500
    when: ClassVar[str] = "An error that nobody foresaw stopped the request."
    fix: str = "Try again; if it happens again, tell the operators the time of the request."
    headers: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, *, is_family: bool = False) -> None:
        """Require a code of each class, unless it is a family: a shared parent that is never raised itself."""
        super().__init_subclass__()
        if not is_family and "code" not in vars(cls):
            raise TypeError(f"{cls.__name__} needs a `code` of its own, such as `registered-model-not-found`")

    def __init__(self, detail: str, *, fix: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra
        if fix is not None:
            self.fix = fix

    def body(self) -> dict[str, Any]:
        """The problem+json document."""
        title = (type(self).__doc__ or "").strip().splitlines()[0]
        return {
            "type": f"/problems/{self.code}",
            "title": title,
            "status": self.status,
            "detail": self.detail,
            "fix": self.fix,
            **self.extra,
        }


class MethodNotAllowedError(ProblemError):
    """The address does not take this method."""

    code = "method-not-allowed"
    status = 405
    when = "The path exists, but not with this method."
    fix = "Use one of the methods in the header `allow`."


class InvalidRequestError(ProblemError):
    """The request is malformed."""

    code = "invalid-request"
    status = 422
    when = "A value in the path, the query, a header or the body is malformed or out of bounds."
    fix = "Correct the fields listed in `errors`; /docs shows what each operation takes."


class UnsupportedMediaTypeError(ProblemError):
    """The body is of a type that is not read here."""

    code = "unsupported-media-type"
    status = 415
    when = "`content-type` is not the type that the operation reads, or the body is compressed."
    fix = "Send JSON with content-type: application/json, in UTF-8 and without compression."


UnauthenticatedReason = Literal[
    "missing", "unknown", "expired", "revoked", "malformed", "header", "issuer", "key", "claims"
]
"""Why a token proves nobody, for metrics and logs; callers are not told more than `detail` says."""


class UnauthenticatedError(ProblemError):
    """The request does not say who sent it."""

    code = "unauthenticated"
    status = 401
    when = "The bearer token is missing, unknown, expired, revoked or malformed."
    fix = "Send `Authorization: Bearer <token>` with a token that is valid."
    headers: ClassVar[dict[str, str]] = {"www-authenticate": "Bearer"}

    def __init__(self, detail: str, *, fix: str, reason: UnauthenticatedReason = "unknown") -> None:
        super().__init__(detail, fix=fix)
        self.reason = reason


class ForbiddenError(ProblemError):
    """The caller is known, and may not do this."""

    code = "forbidden"
    status = 403
    when = "The caller lacks the permission that the operation needs in this project."
    fix = "Ask an admin for a role that has the permission."


class NotFoundError(ProblemError):
    """There is no such thing."""

    code = "not-found"
    status = 404
    when = "A file of the documentation page does not exist."
    fix = "Open /docs."


class ConflictError(ProblemError, is_family=True):
    """The request contradicts the present state."""

    status = 409


class UnavailableError(ProblemError):
    """A part that is needed to answer is not there at the moment."""

    code = "unavailable"
    status = 503
    when = "A part that is needed for the answer (the cache, Kafka) did not confirm in time."
    fix = "Send the same request again in a moment."
    headers: ClassVar[dict[str, str]] = {"retry-after": "1"}


class UnknownAddressError(ProblemError):
    """Not Found."""

    code = "http"
    status = 404
    when = "The path is unknown, or the web framework refuses the request in another way; `title` and `status` say how."
    fix = "Compare the path and the method with /docs."


class ProblemDocument(BaseModel):
    """An error, as every operation answers it; docs/reference/problems.md lists the types."""

    type: str
    title: str
    status: int
    detail: str
    fix: str


def documented(descriptions: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """The documentation of error answers, for `responses=`: when each status is answered."""
    content = {MEDIA_TYPE: {"schema": ProblemDocument.model_json_schema()}}
    return {status: {"description": text, "content": content} for status, text in descriptions.items()}


def problem_response(problem: ProblemError) -> Response:
    """The HTTP answer for a problem."""
    return Response(
        orjson.dumps(problem.body()),
        status_code=problem.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


def install_problems(app: FastAPI) -> None:
    """Make `app` answer every error as problem+json."""

    @app.exception_handler(ProblemError)
    async def on_problem(_: Request, error: ProblemError) -> Response:
        return problem_response(error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        methods = _methods_at(request)
        if methods and request.method not in methods:
            return _wrong_method(request, methods)
        return problem_response(invalid_fields(error.errors()))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        if error.status_code == MethodNotAllowedError.status:
            return _wrong_method(request, _methods_at(request))
        return _framework_problem(request, error)

    @app.exception_handler(Exception)
    async def on_bug(request: Request, error: Exception) -> Response:
        log.error("request_failed", path=request.url.path, method=request.method, exc_info=error)
        return problem_response(
            ProblemError(
                "An unexpected error stopped the request; nothing was changed.",
            )
        )


def invalid_fields(errors: Sequence[Any]) -> InvalidRequestError:
    """The refusal for what Pydantic found wrong: the first few are told in full."""
    told = all_in_words(errors[:ERRORS_TOLD_MAX]) or [{"location": "request", "message": "is malformed"}]
    more = {"errors_left_out": len(errors) - ERRORS_TOLD_MAX} if len(errors) > ERRORS_TOLD_MAX else {}
    return InvalidRequestError(
        f"{told[0]['location']}: {told[0]['message']}",
        fix="Correct the fields listed in `errors`; /docs shows what each operation takes.",
        errors=told,
        **more,
    )


def _methods_at(request: Request) -> list[str]:
    """What the address takes. Where several routes match, the one that spells out more of it is meant."""
    matching: dict[int, set[str]] = {}
    for route in iter_route_contexts(request.app.routes):
        if route.methods and route.path_regex.match(request.url.path):
            matching.setdefault(route.path_regex.groups, set()).update(route.methods)
    methods = matching[min(matching)] if matching else set()
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def _wrong_method(request: Request, methods: list[str]) -> Response:
    allowed = ", ".join(methods)
    problem = MethodNotAllowedError(
        f"{request.url.path} does not take {request.method}.", fix=f"Use one of: {allowed}; /docs shows what each does."
    )
    response = problem_response(problem)
    response.headers["allow"] = allowed
    return response


def _framework_problem(request: Request, error: HTTPException) -> Response:
    fix = _fix_of_address(request, error.status_code)
    problem = UnknownAddressError(f"{request.method} {request.url.path}: {error.detail}", fix=fix)
    body = {**problem.body(), "title": str(error.detail), "status": error.status_code}
    return Response(orjson.dumps(body), status_code=error.status_code, headers=error.headers, media_type=MEDIA_TYPE)


def _fix_of_address(request: Request, status: int) -> str | None:
    path = request.url.path
    if status == NotFoundError.status and len(path) > 1 and path.endswith("/"):
        # Never a redirect: a client that follows one sends a POST again as a GET, or without its body.
        return f"No address ends with a slash. Send the request again, unchanged, to {path.rstrip('/') or '/'}"
    return None
