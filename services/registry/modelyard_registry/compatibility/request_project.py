"""In which project a request is: other registries name it beside the path, or not at all.

`project_id` in the query, the header `X-Project-Id` or the body names it. When none does, an id
belongs to the project of what it names, and everything else to the project `default`.
"""

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Query
from fastapi import Request as HttpRequest
from modelyard_events.values import Slug
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.access.principals import Principal
from modelyard_runtime.problems import InvalidRequestError

from modelyard_registry.api import DEFAULT_PROJECT, Requirement, Services, authenticate_caller, refuse_unknown
from modelyard_registry.compatibility.store import find_project_of

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class ProjectContradictionError(InvalidRequestError):
    """The request names two projects."""

    code = "project-contradiction"
    when = "Query, body and header name different projects."
    fix = "Name one: as `project_id` in the query or the body, or in the header X-Project-Id."


class RequirementThere(Requirement):
    """What an operation needs its caller to be permitted in the project that the request is in."""

    async def __call__(
        self,
        request: HttpRequest,
        principal: Annotated[Principal, Depends(authenticate_caller)],
        project_id: Annotated[
            Slug | None, Query(description="The project; `default`, or that of the id that is given, when absent.")
        ] = None,
        x_project_id: Annotated[Slug | None, Header(description="The project, when the query names none.")] = None,
    ) -> None:
        """Raise ForbiddenError unless the principal may do it there, and remember where that is."""
        named = {each for each in (project_id, x_project_id, await _project_in_body(request)) if each is not None}
        if len(named) > 1:
            raise ProjectContradictionError(f"The request names the projects {', '.join(sorted(named))}.")
        project = named.pop() if named else await self._project_of_id(request, principal)
        request.state.project = project
        principal.refuse_unless_may(self.permission, project)
        if _are_ids(request):  # What is no id is said first: another method may be meant.
            await refuse_unknown(request, principal, project)

    def refuse_before_reading(self, request: HttpRequest) -> None:
        """Refuse whoever may do it in no project at all: which one is meant may be said in the body only."""
        principal: Principal = request.state.principal
        if not principal.may_somewhere(self.permission):
            principal.refuse_unless_may(self.permission, DEFAULT_PROJECT)

    async def _project_of_id(self, request: HttpRequest, principal: Principal) -> str:
        """Where the thing that an id names is; for who may do nothing there, it is as if it were nowhere."""
        services: Services = request.app.state.services
        names = {**request.query_params, **request.path_params}
        ids = [names.get(name) for name in ("model_id", "version_id")]
        for text in (each for each in ids if each is not None):
            try:
                thing = UUID(text)
            except ValueError:
                continue
            async with services.database.reading() as connection:
                project = await find_project_of(connection, thing)
            if project is not None and principal.may(self.permission, project):
                return project
        return DEFAULT_PROJECT


def _are_ids(request: HttpRequest) -> bool:
    """Whether what the path says are ids can be some."""
    try:
        _ = [UUID(request.path_params[name]) for name in ("model_id", "version_id") if name in request.path_params]
    except ValueError:
        return False
    return True


def requires_there(permission: Permission) -> Any:
    """As `requires`, for operations whose path names no project."""
    return Depends(RequirementThere(permission))


def _where(request: HttpRequest) -> str:
    # Not found out when the request is malformed; then it is refused before anything is looked up.
    project: str = getattr(request.state, "project", DEFAULT_PROJECT)
    return project


Where = Annotated[str, Depends(_where)]
"""The project that the request is in; the operation declares `requires_there`, which found it."""


async def _project_in_body(request: HttpRequest) -> str | None:
    # What is no project is refused by the body's own document.
    body = await request.json() if await request.body() else None
    named = body.get("project_id") if isinstance(body, dict) else None
    return named if isinstance(named, str) and _SLUG.fullmatch(named) else None
