"""Issuing and revoking tokens, granting roles: each change with its audit entry and its document for everyone."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from modelyard_events.actors import actor_of_project
from modelyard_events.topics import ACCESS
from modelyard_runtime.access.permissions import ALL_PROJECTS, Permission, Role, permitted_to
from modelyard_runtime.access.principals import Principal, hash_of
from modelyard_runtime.access.tokens import new_token

from modelyard_registry.access import store
from modelyard_registry.access.domain import (
    ApiToken,
    Grant,
    IssueToken,
    TokenNotFoundError,
    TokenRevokedError,
    refuse_more_than_own,
    refuse_unless_issuable,
    stands_for,
)
from modelyard_registry.projects.known import refuse_unknown_project
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction
from modelyard_registry.transactions.database import Connection

ENDING_LETTERS = 4
COMMON_PROJECT = "default"
"""Where the audit log keeps what is about all projects."""


def audited_project(project: str) -> str:
    """The project under which the audit log has what happens to access in `project`."""
    return COMMON_PROJECT if project == ALL_PROJECTS else project


async def issue_token(
    tx: Transaction, command: IssueToken, *, issuer: Principal, make: Callable[[], str] = new_token
) -> tuple[ApiToken, str]:
    """A new token, and the text that proves it, which is kept nowhere.

    Raises ProjectNotFoundError and what `refuse_unless_issuable` does.
    """
    refuse_unless_issuable(command, issuer=issuer, now=tx.now)
    await refuse_unknown_project(tx.connection, command.project, caller=issuer)
    secret = make()
    acts_as = actor_of_project(command.actor, project=command.project)
    token = ApiToken(
        id=tx.new_id(),
        token_hash=hash_of(secret),
        ending=secret[-ENDING_LETTERS:],
        actor=command.actor,
        project=command.project,
        roles=tuple(sorted(command.roles)),
        scopes=None if command.scopes is None else tuple(sorted(command.scopes)),
        description=command.description,
        created_at=tx.now,
        created_by=tx.context.actor,
        expires_at=command.expires_at,
        revoked_at=None,
        revoked_by=None,
        last_used_at=None,
        sequence=1,
        stands_for=stands_for(acts_as, issuer=issuer),
        issuers=(issuer.actor, *issuer.issuers),
    )
    await store.insert_token(tx.connection, token)
    await tx.append_fact(ACCESS, token.document(), key=token.key, sequence=token.sequence)
    await tx.record_audit(
        project=audited_project(token.project),
        action=AuditAction.API_TOKEN_ISSUED,
        subject=f"access/tokens/{token.id}",
        after={
            "actor": acts_as,
            "project": token.project,
            "roles": list(token.roles),
            "scopes": None if token.scopes is None else list(token.scopes),
            "expires_at": token.expires_at.isoformat(),
        },
    )
    return token, secret


def managed_projects(manager: Principal, project: str | None) -> frozenset[str] | None:
    """Whose tokens and keys to list: those of `project`, or of all that the manager manages; None for everyone's.

    Raises ForbiddenError when the manager does not manage access in `project`.
    """
    if project is not None:
        manager.refuse_unless_may(Permission.ACCESS_MANAGE, project)
        return frozenset({project})
    if manager.may(Permission.ACCESS_MANAGE, ALL_PROJECTS):
        return None
    return frozenset(each for each in manager.roles if manager.may(Permission.ACCESS_MANAGE, each))


async def get_manageable_token(
    connection: Connection, token_id: UUID, *, manager: Principal, lock: bool = False
) -> ApiToken:
    """The token of that id. Raises TokenNotFoundError also when it is of a project that the caller does not manage."""
    token = await store.find_token(connection, token_id, lock=lock)
    if token is None or not manager.may(Permission.ACCESS_MANAGE, token.project):
        raise TokenNotFoundError(f"There is no token {token_id} that you manage.")
    return token


async def revoke_token(tx: Transaction, token_id: UUID, *, manager: Principal) -> ApiToken:
    """End a token for good. Raises TokenNotFoundError, and TokenRevokedError when it is ended already."""
    token = await get_manageable_token(tx.connection, token_id, manager=manager, lock=True)
    if token.revoked_at is not None:
        raise TokenRevokedError(f"The token was revoked by {token.revoked_by} at {token.revoked_at.isoformat()}.")
    revoked = replace(token, revoked_at=tx.now, revoked_by=tx.context.actor, sequence=token.sequence + 1)
    await store.save_revocation(tx.connection, revoked)
    await tx.append_fact(ACCESS, revoked.document(), key=revoked.key, sequence=revoked.sequence)
    await tx.record_audit(
        project=audited_project(revoked.project),
        action=AuditAction.API_TOKEN_REVOKED,
        subject=f"access/tokens/{revoked.id}",
        before={"revoked": False},
        after={"revoked": True, "actor": revoked.document().qualified_actor},
    )
    return revoked


async def set_grant(tx: Transaction, *, project: str, actor: str, roles: frozenset[Role], giver: Principal) -> Grant:
    """Let `actor` have exactly these roles in `project`. Raises MoreThanOwnError for roles beyond the giver's own."""
    refuse_more_than_own(permitted_to(roles), project=project, giver=giver)
    before, sequence = await store.lock_grant(
        tx.connection, project=project, actor=actor, now=tx.now, by=tx.context.actor
    )
    grant = Grant(
        project=project,
        actor=actor,
        roles=tuple(sorted(roles)),
        updated_at=tx.now,
        updated_by=tx.context.actor,
        sequence=sequence + 1,
    )
    await store.save_grant(tx.connection, grant)
    await tx.append_fact(ACCESS, grant.document(), key=grant.key, sequence=grant.sequence)
    await tx.record_audit(
        project=project,
        action=AuditAction.ROLES_GRANTED,
        subject=f"access/grants/{actor}",
        before={"roles": list(before)},
        after={"roles": list(grant.roles)},
    )
    return grant
