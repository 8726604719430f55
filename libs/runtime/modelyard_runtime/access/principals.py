"""Who is calling, and what they may do: bearer tokens to principals. No token, no answer."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Protocol

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from modelyard_events.actors import is_operators_name
from pydantic import SecretStr

from modelyard_runtime.access.permissions import (
    ALL_PROJECTS,
    Permission,
    Role,
    permitted_to,
    roles_that_may,
    with_implied,
)
from modelyard_runtime.problems import ForbiddenError, UnauthenticatedError, UnauthenticatedReason

TOKEN_FIX = "Send the header `Authorization: Bearer <token>` with a token that the operators gave out."

RolesByProject = Mapping[str, frozenset[Role]]
"""The roles that somebody has in each project; `*` stands for all projects."""

ADMIN_EVERYWHERE: RolesByProject = {ALL_PROJECTS: frozenset({Role.ADMIN})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """An actor, and who stands behind it.

    `issuers` gave out its token, the token of the one who did so, and so on. A token that was given out by somebody
    who manages access in some projects only proves no other person: it stands for whoever gave it out.
    """

    actor: str
    stands_for: str
    issuers: tuple[str, ...] = ()

    def may_be(self, other: "Identity") -> bool:
        """Whether one person can be behind both: the same actor, or one who gave the other its token."""
        return (
            self.actor == other.actor
            or self.stands_for == other.stands_for
            or self.actor in other.issuers
            or other.actor in self.issuers
        )


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A person or machine that has proved who it is, with its roles.

    `scopes` narrow what the roles permit; None leaves everything that they do. `stands_for` and `issuers` say whose
    token it is, as `Identity` does.
    """

    actor: str
    roles: RolesByProject = field(default_factory=dict)
    scopes: frozenset[Permission] | None = None
    stands_for: str | None = None
    issuers: tuple[str, ...] = ()

    @property
    def identity(self) -> "Identity":
        """Who this is, and who stands behind it."""
        return Identity(actor=self.actor, stands_for=self.stands_for or self.actor, issuers=self.issuers)

    def may(self, permission: Permission, project: str) -> bool:
        """Whether this principal may do such a thing in that project."""
        by_project = self._permitted
        return permission in by_project.get(ALL_PROJECTS, ()) or permission in by_project.get(project, ())

    def may_somewhere(self, permission: Permission) -> bool:
        """Whether there is any project in which this principal may do such a thing."""
        return any(permission in permitted for permitted in self._permitted.values())

    def roles_in(self, project: str) -> frozenset[Role]:
        """The roles that count in that project."""
        return self.roles.get(ALL_PROJECTS, frozenset()) | self.roles.get(project, frozenset())

    @property
    def home_project(self) -> str | None:
        """The one project in which this principal has roles; None when there are several, or all."""
        projects = [project for project in self.roles if project != ALL_PROJECTS]
        return projects[0] if len(projects) == len(self.roles) == 1 else None

    def refuse_unless_may(self, permission: Permission, project: str) -> None:
        """Raise ForbiddenError, which names the permission and who has it, unless `may` says yes."""
        if not self.may(permission, project):
            where = "all projects" if project == ALL_PROJECTS else f"the project {project}"
            raise lacking(self, permission, where=where, project=project)

    @cached_property
    def _permitted(self) -> Mapping[str, frozenset[Permission]]:
        everything = frozenset(Permission) if self.scopes is None else with_implied(self.scopes)
        return {project: permitted_to(roles) & everything for project, roles in self.roles.items()}


def merged(first: RolesByProject, second: RolesByProject) -> RolesByProject:
    """The roles of both: they add up."""
    return {
        project: first.get(project, frozenset()) | second.get(project, frozenset()) for project in {*first, *second}
    }


def lacking(principal: Principal, permission: Permission, *, where: str, project: str | None = None) -> ForbiddenError:
    """The refusal of a known principal; `project` when it is about one."""
    roles = [str(role) for role in roles_that_may(permission)]
    return ForbiddenError(
        f"{principal.actor} lacks the permission {permission} in {where}.",
        fix=f"Ask an admin for a role that has it: {', '.join(roles)}.",
        permission=str(permission),
        roles=roles,
        **({} if project is None else {"project": project}),
    )


class IssuedTokens(Protocol):
    """Whom the tokens prove that the registry has issued."""

    def find(self, token_hash: bytes) -> Principal | None:
        """Whom a token proves, by its hash."""
        ...

    def why_not(self, token_hash: bytes) -> UnauthenticatedReason:
        """Why a token with that hash proves nobody."""
        ...


class Authenticates(Protocol):
    """Judges bearer tokens."""

    async def authenticate(self, token: str | None) -> Principal:
        """Who holds `token`. Raises UnauthenticatedError."""
        ...


class Principals:
    """The principals whom the settings name, by their tokens' hashes: a look-up by hash leaks no timing.

    `roles` says which roles an actor has in which projects; whom it does not name is admin everywhere.
    `issued` is asked for tokens that the settings do not name.
    """

    def __init__(
        self,
        tokens: Mapping[str, SecretStr],
        *,
        roles: Mapping[str, Mapping[str, frozenset[Role]]] | None = None,
        issued: IssuedTokens | None = None,
    ) -> None:
        granted = roles or {}
        for actor in tokens:
            if not is_operators_name(actor):
                raise ValueError(f"{actor!r}: an actor of the settings has no `/` and no `:`, as those of others have")
        self._issued = issued
        self._by_hash = {
            hash_of(token.get_secret_value()): Principal(actor=actor, roles=granted.get(actor, ADMIN_EVERYWHERE))
            for actor, token in tokens.items()
        }

    def named(self, actor: str) -> Principal | None:
        """Whom the settings name so, or None; nobody learns from this whether a token is theirs."""
        return next((each for each in self._by_hash.values() if each.actor == actor), None)

    def find(self, token_hash: bytes) -> Principal | None:
        """Who holds the token with that hash, or None when it is nobody's."""
        named = self._by_hash.get(token_hash)
        if named is None and self._issued is not None:
            return self._issued.find(token_hash)
        return named

    def why_not(self, token_hash: bytes) -> UnauthenticatedReason:
        """Why nobody holds the token with that hash."""
        return "unknown" if self._issued is None else self._issued.why_not(token_hash)

    def anyone_may(self, permission: Permission, project: str) -> bool:
        """Whether the settings name anybody who may do such a thing in that project."""
        return any(principal.may(permission, project) for principal in self._by_hash.values())


def no_token() -> UnauthenticatedError:
    """The refusal of a call without a token."""
    return UnauthenticatedError("The request carries no bearer token.", fix=TOKEN_FIX, reason="missing")


def several_tokens() -> UnauthenticatedError:
    """The refusal of a call that carries more than one proof: they may be of different callers."""
    return UnauthenticatedError(
        "The request carries more than one Authorization header.", fix="Send one Authorization header.", reason="header"
    )


def unknown_token(reason: UnauthenticatedReason) -> UnauthenticatedError:
    """The refusal of a token that proves nobody; the caller is not told which of the reasons it is."""
    return UnauthenticatedError(
        "The bearer token is not known, has expired or was revoked.", fix=TOKEN_FIX, reason=reason
    )


def hash_of(token: str) -> bytes:
    """What is kept of a token: it is too random to be guessed, so a fast hash is enough."""
    return sha256(token.encode()).digest()


def bearer_of(authorization: str) -> str | None:
    """The token in an `Authorization` header's value, or None when there is none."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


_SCHEME = HTTPBearer(auto_error=False, description="A token that the operators gave out.")


def authenticated(
    authentication: Authenticates, *, permission: Permission | None = None
) -> Callable[..., Awaitable[Principal]]:
    """A FastAPI dependency that answers the calling principal, or refuses with 401.

    With a `permission` it refuses whoever has it in no project at all, with 403.
    """

    async def principal(
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)],
    ) -> Principal:
        if len(request.headers.getlist("authorization")) > 1:
            raise several_tokens()
        known = await authentication.authenticate(credentials.credentials if credentials else None)
        request.state.principal = known
        if permission is not None and not known.may_somewhere(permission):
            raise lacking(known, permission, where="any project")
        return known

    return principal
