"""Who calls, and what an operation needs its caller to be permitted."""

from typing import Annotated, Any

from fastapi import Depends
from fastapi import Request as HttpRequest
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from modelyard_runtime.access.permissions import ALL_PROJECTS, Permission
from modelyard_runtime.access.principals import Principal, lacking

from modelyard_registry.api.inputs import DEFAULT_PROJECT

_SCHEME = HTTPBearer(auto_error=False, description="A token that the operators gave out.")


async def authenticate_caller(
    request: HttpRequest, _: Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)]
) -> Principal:
    """Who calls; the gate has found it out before the request came here."""
    principal: Principal = request.state.principal
    return principal


class Requirement:
    """What an operation needs its caller to be permitted, as a FastAPI dependency; see `requires`."""

    def __init__(self, permission: Permission, *, somewhere: bool = False, everywhere: bool = False) -> None:
        self.permission = permission
        self._somewhere = somewhere
        self._everywhere = everywhere

    async def __call__(
        self, request: HttpRequest, principal: Annotated[Principal, Depends(authenticate_caller)]
    ) -> None:
        """Raise ForbiddenError unless the principal may do it in the project that the path names.

        A path that names none is about the project `default`, or about whichever its handler judges. Raises
        ProjectNotFoundError when the path names one that is not there.
        """
        self._judge(request, principal)
        if "project" in request.path_params:
            await refuse_unknown(request, principal, request.path_params["project"])

    def refuse_before_reading(self, request: HttpRequest) -> None:
        """Judge by what comes before the body. Raises ForbiddenError."""
        self._judge(request, request.state.principal)

    def _judge(self, request: HttpRequest, principal: Principal) -> None:
        if self._everywhere:
            principal.refuse_unless_may(self.permission, ALL_PROJECTS)
            return
        if self._somewhere:
            if not principal.may_somewhere(self.permission):
                raise lacking(principal, self.permission, where="any project")
            return
        principal.refuse_unless_may(self.permission, request.path_params.get("project", DEFAULT_PROJECT))


async def refuse_unknown(request: HttpRequest, principal: Principal, project: str) -> None:
    """Raise ProjectNotFoundError when there is no such project. Called once the caller may act there if it is."""
    await request.app.state.known_projects.refuse_unless_known(project, caller=principal)


def requires(permission: Permission) -> Any:
    """The permission that an operation needs: `dependencies=[requires(Permission.MODELS_READ)]`."""
    return Depends(Requirement(permission))


def requires_somewhere(permission: Permission) -> Any:
    """The permission that an operation needs in some project; which one it is, its handler judges."""
    return Depends(Requirement(permission, somewhere=True))


def requires_everywhere(permission: Permission) -> Any:
    """The permission that an operation needs in all projects."""
    return Depends(Requirement(permission, everywhere=True))
