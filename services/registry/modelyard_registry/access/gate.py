"""Nobody passes unknown: every path of the API asks for a token before anything else is looked at.

The gate stands before the routes, so a route that forgets to ask is not open; and an operation that does not declare
the permission that it needs stops the registry from starting.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from modelyard_runtime.access.principals import Authenticates, bearer_of
from modelyard_runtime.problems import ProblemError, UnauthenticatedError, problem_response
from starlette.types import ASGIApp, Receive, Scope, Send

from modelyard_registry.api import Requirement

GUARDED = "/api/"


class UndeclaredPermissionError(Exception):
    """An operation does not say which permission it needs."""


class Gate:
    """ASGI middleware: answers 401 unless the request proves who sends it; no body is read before."""

    def __init__(self, app: ASGIApp, *, authentication: Authenticates) -> None:
        self._app = app
        self._authentication = authentication

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its principal, or refuse it."""
        if scope["type"] != "http" or not scope["path"].startswith(GUARDED):
            return await self._app(scope, receive, send)
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        try:
            if len(given) > 1:
                raise UnauthenticatedError(
                    f"The request carries {len(given)} Authorization headers.", fix="Send one.", reason="header"
                )
            token = bearer_of(given[0].decode("latin-1")) if given else None
            principal = await self._authentication.authenticate(token)
        except ProblemError as problem:
            return await problem_response(problem)(scope, receive, send)
        scope.setdefault("state", {})["principal"] = principal
        return await self._app(scope, receive, send)


def refuse_undeclared(app: FastAPI) -> None:
    """Raise UndeclaredPermissionError for an operation of the API that declares no permission."""
    for operation in operations_of(app):
        if operation.requirement is None:
            raise UndeclaredPermissionError(
                f"{operation.method} {operation.path} declares no permission;"
                " give its decorator `dependencies=[requires(Permission.…)]`"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A guarded operation and what it demands of its caller, None when it does not say so."""

    method: str
    path: str
    requirement: Requirement | None


def operations_of(app: FastAPI) -> Iterator[Operation]:
    """Every guarded operation of an application."""
    for context in iter_route_contexts(app.routes):
        path, route = context.path_format or "", context.original_route
        if not path.startswith(GUARDED) or not isinstance(route, APIRoute):
            continue
        found = [each.call for each in route.dependant.dependencies if isinstance(each.call, Requirement)]
        for method in sorted(route.methods or ()):
            yield Operation(method=method, path=path, requirement=found[0] if found else None)
