"""Who may agree: the roles that people have at this moment, asked again when what they agreed to is done."""

from collections.abc import Awaitable, Callable

from modelyard_runtime.permissions import Role

from modelyard_registry.approvals.domain import TransitionRequest, is_approver
from modelyard_registry.http import Call
from modelyard_registry.transactions import Transaction

RolesOf = Callable[[Transaction, str, str], Awaitable[frozenset[Role] | None]]
"""The roles that an actor has in a project now; None when nothing about the actor is on record here."""

ROLES_ON_RECORD = """
SELECT roles FROM access_grants WHERE actor = $1 AND project IN ($2, '*')
UNION ALL
SELECT CASE WHEN revoked_at IS NULL AND expires_at > $3 THEN roles ELSE '{}' END
FROM api_tokens WHERE actor = $1 AND project IN ($2, '*')
"""


def roles_seen_by(call: Call) -> RolesOf:
    """The roles of the caller as the token proves them, and of anybody else as they are on record."""

    async def roles_of(tx: Transaction, actor: str, project: str) -> frozenset[Role] | None:
        if actor == call.principal.actor:
            return call.principal.roles_in(project)
        named = call.services.principals.named(actor)
        rows = await tx.connection.fetch(ROLES_ON_RECORD, actor, project, tx.now)
        if named is None and not rows:
            return None
        recorded = frozenset(Role(role) for row in rows for role in row["roles"] if role in set(Role))
        return recorded if named is None else recorded | named.roles_in(project)

    return roles_of


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
