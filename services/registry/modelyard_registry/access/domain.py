"""The rules of giving access: nobody gives more than they have, and every token ends."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard_events.access import ApiTokenChanged, RolesGranted
from modelyard_runtime.access.permissions import ALL_PROJECTS, Permission, Role, permitted_to
from modelyard_runtime.access.principals import Principal
from modelyard_runtime.problems import ConflictError, ForbiddenError, InvalidRequestError, NotFoundError

LIFETIME_MAX = timedelta(days=366)
ISSUERS_MAX = 20
"""Tokens given out with tokens that were given out with tokens."""


class TokenNotFoundError(NotFoundError):
    """There is no such token."""

    code = "token-not-found"
    when = "No token of this id exists among those that the caller manages."
    fix = "List tokens with GET /api/v1/access/tokens."


class TokenRevokedError(ConflictError):
    """The token is revoked already."""

    code = "token-revoked"
    when = "The token that is to be revoked was revoked before."
    fix = "Nothing is left to do: a revoked token never works again."


class MoreThanOwnError(ForbiddenError):
    """Nobody gives a permission that they do not have themselves."""

    code = "more-than-own"
    when = "The new token or key would have a permission that its giver lacks."
    fix = "Choose smaller roles, or ask an admin to give them."


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueToken:
    """Ask for a token that proves `actor` and carries `roles` in `project`, narrowed to `scopes` if there are any."""

    actor: str
    project: str
    roles: frozenset[Role]
    scopes: frozenset[Permission] | None
    expires_at: datetime
    description: str | None


def refuse_unless_issuable(command: IssueToken, *, issuer: Principal, now: datetime) -> None:
    """Raise InvalidRequestError for a token that never ends or grants nothing, ForbiddenError for too much."""
    if command.expires_at <= now or command.expires_at > now + LIFETIME_MAX:
        raise InvalidRequestError(
            f"expires_at must lie in the future, at most {LIFETIME_MAX.days} days ahead.",
            fix="Give a nearer moment, and issue a new token before that one ends.",
        )
    if len(issuer.issuers) >= ISSUERS_MAX:
        raise InvalidRequestError(
            f"Your token is the last of {ISSUERS_MAX} that were each given out with the one before.",
            fix="Let somebody nearer to the operators issue this one.",
        )
    carried = permitted_to(command.roles)
    if command.scopes is not None:
        beyond = sorted(command.scopes - carried)
        if beyond:
            raise InvalidRequestError(
                f"No role of the token permits {', '.join(beyond)}; scopes only narrow.",
                fix="Leave these scopes out, or add a role that has them.",
            )
        carried = command.scopes
    refuse_more_than_own(carried, project=command.project, giver=issuer)


def stands_for(actor: str, *, issuer: Principal) -> str:
    """For whom a new token of `actor` stands: for itself when the operators gave it out, else for its issuer.

    Whoever manages access in all projects is an operator, and answers for whom they give tokens to. Whoever manages
    some projects could give two tokens to themselves.
    """
    return actor if issuer.may(Permission.ACCESS_MANAGE, ALL_PROJECTS) else issuer.identity.stands_for


def refuse_more_than_own(permissions: Iterable[Permission], *, project: str, giver: Principal) -> None:
    """Raise MoreThanOwnError unless the giver manages access there and has each permission itself."""
    giver.refuse_unless_may(Permission.ACCESS_MANAGE, project)
    lacking = sorted(each for each in permissions if not giver.may(each, project))
    if lacking:
        where = "all projects" if project == ALL_PROJECTS else project
        raise MoreThanOwnError(
            f"{giver.actor} would give {', '.join(lacking)} in {where} without having it.",
            permissions=[str(each) for each in lacking],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """An API token as the registry keeps it; nobody can get the token itself back from this.

    `stands_for` and `issuers` say who is behind it, as `Identity` does.
    """

    id: str
    token_hash: bytes
    ending: str
    actor: str
    project: str
    roles: tuple[Role, ...]
    scopes: tuple[Permission, ...] | None
    description: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    last_used_at: datetime | None
    sequence: int
    stands_for: str
    issuers: tuple[str, ...]

    @property
    def key(self) -> str:
        """Its key on the access topic."""
        return f"token/{self.id}"

    def document(self) -> ApiTokenChanged:
        """What the access topic says of it."""
        return ApiTokenChanged(
            token_id=self.id,
            token_hash=f"sha256:{self.token_hash.hex()}",
            actor=self.actor,
            project=self.project,
            roles=tuple(str(role) for role in self.roles),
            scopes=None if self.scopes is None else tuple(str(scope) for scope in self.scopes),
            expires_at=self.expires_at,
            revoked=self.revoked_at is not None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The roles that an actor was granted in a project."""

    project: str
    actor: str
    roles: tuple[Role, ...]
    updated_at: datetime
    updated_by: str
    sequence: int

    @property
    def key(self) -> str:
        """Its key on the access topic."""
        return f"grant/{self.project}/{self.actor}"

    def document(self) -> RolesGranted:
        """What the access topic says of it."""
        return RolesGranted(actor=self.actor, project=self.project, roles=tuple(str(role) for role in self.roles))
