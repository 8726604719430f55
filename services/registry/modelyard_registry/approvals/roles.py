"""Who may agree: the roles that people have at this moment, asked again when what they agreed to is done."""

from collections.abc import Awaitable, Callable

from modelyard_events.actors import project_actor
from modelyard_runtime.access.permissions import Role

from modelyard_registry.api import Call
from modelyard_registry.approvals.domain import TransitionRequest, is_approver
from modelyard_registry.transactions import Transaction

RolesOf = Callable[[Transaction, str, str], Awaitable[frozenset[Role] | None]]
"""The roles that an actor has in a project now; None when nothing about the actor is on record here."""

ROLES_GRANTED = "SELECT roles FROM access_grants WHERE actor = $1 AND project IN ($2, '*')"
ROLES_OF_TOKENS = """
SELECT CASE WHEN revoked_at IS NULL AND expires_at > $3 AND project IN ($4, '*') THEN roles ELSE '{}' END AS roles
FROM api_tokens WHERE actor = $1 AND project = $2
"""


def roles_seen_by(call: Call) -> RolesOf:
    """The roles of the caller as the token proves them, and of anybody else as they are on record."""

    async def roles_of(tx: Transaction, actor: str, project: str) -> frozenset[Role] | None:
        if actor == call.principal.actor:
            return call.principal.roles_in(project)
        named = call.services.principals.named(actor)
        if named is not None:
            return named.roles_in(project)
        return await _on_record(tx, actor, project)

    return roles_of


async def _on_record(tx: Transaction, actor: str, project: str) -> frozenset[Role] | None:
    """What tokens carry when the actor acts by tokens, else what it was granted; None when there is nothing."""
    given = project_actor(actor)
    if given is None:
        rows = await tx.connection.fetch(ROLES_GRANTED, actor, project)
    else:
        rows = await tx.connection.fetch(ROLES_OF_TOKENS, given.name, given.project, tx.now, project)
    if not rows:
        return None
    return frozenset(Role(role) for row in rows for role in row["roles"] if role in set(Role))


async def lapsed_approvers(tx: Transaction, request: TransitionRequest, roles_of: RolesOf) -> frozenset[str]:
    """Who agreed to the request, and may not any more.

    Somebody of whom nothing is on record had the role by an identity provider's word, which nobody can take
    back here: what that person agreed to stands.
    """
    lapsed = set()
    for approval in request.approvals:
        roles = await roles_of(tx, approval.actor, request.project)
        if roles is not None and not is_approver(roles, request.role):
            lapsed.add(approval.actor)
    return frozenset(lapsed)
