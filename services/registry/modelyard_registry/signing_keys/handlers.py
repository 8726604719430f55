"""Registering and revoking signing keys: each change with its audit entry and its document for everyone."""

from dataclasses import replace
from uuid import UUID

from modelyard_events.topics import ACCESS
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.access.principals import Principal

from modelyard_registry.access.handlers import audited_project
from modelyard_registry.projects.known import refuse_unknown_project
from modelyard_registry.signing_keys import store
from modelyard_registry.signing_keys.domain import (
    RegisterSigningKey,
    SigningKey,
    SigningKeyKnownError,
    SigningKeyNotFoundError,
    SigningKeyRevokedError,
    refuse_unless_registrable,
)
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction
from modelyard_registry.transactions.database import Connection


async def register_signing_key(tx: Transaction, command: RegisterSigningKey, *, manager: Principal) -> SigningKey:
    """Bind a public key to an actor.

    Raises SigningKeyKnownError, ProjectNotFoundError and what `refuse_unless_registrable` does.
    """
    refuse_unless_registrable(command, manager=manager, now=tx.now)
    await refuse_unknown_project(tx.connection, command.project, caller=manager)
    key = SigningKey(
        id=tx.new_id(),
        public_key=command.public_key,
        actor=command.actor,
        project=command.project,
        topics=tuple(sorted(command.topics)),
        tenants=None if command.tenants is None else tuple(sorted(command.tenants)),
        description=command.description,
        created_at=tx.now,
        created_by=tx.context.actor,
        expires_at=command.expires_at,
        revoked_at=None,
        revoked_by=None,
        sequence=1,
    )
    if not await store.insert_key(tx.connection, key):
        raise SigningKeyKnownError("This public key is registered already: one key, one actor and project.")
    await tx.append_fact(ACCESS, key.document(), key=key.key, sequence=key.sequence)
    await tx.record_audit(
        project=audited_project(key.project),
        action=AuditAction.SIGNING_KEY_REGISTERED,
        subject=key.subject,
        after={
            "actor": key.document().qualified_actor,
            "project": key.project,
            "topics": list(key.topics),
            "tenants": None if key.tenants is None else list(key.tenants),
            "public_key": key.public_key_text,
            "expires_at": key.expires_at.isoformat(),
        },
    )
    return key


async def get_manageable_key(
    connection: Connection, key_id: UUID, *, manager: Principal, lock: bool = False
) -> SigningKey:
    """The key of that id. Raises SigningKeyNotFoundError also when its project is not managed by the caller."""
    key = await store.find_key(connection, key_id, lock=lock)
    if key is None or not manager.may(Permission.ACCESS_MANAGE, key.project):
        raise SigningKeyNotFoundError(f"There is no signing key {key_id} that you manage.")
    return key


async def revoke_signing_key(tx: Transaction, key_id: UUID, *, manager: Principal) -> SigningKey:
    """End a key for good. Raises SigningKeyNotFoundError, and SigningKeyRevokedError when it is ended already."""
    key = await get_manageable_key(tx.connection, key_id, manager=manager, lock=True)
    if key.revoked_at is not None:
        raise SigningKeyRevokedError(f"The key was revoked by {key.revoked_by} at {key.revoked_at.isoformat()}.")
    revoked = replace(key, revoked_at=tx.now, revoked_by=tx.context.actor, sequence=key.sequence + 1)
    await store.save_revocation(tx.connection, revoked)
    await tx.append_fact(ACCESS, revoked.document(), key=revoked.key, sequence=revoked.sequence)
    await tx.record_audit(
        project=audited_project(revoked.project),
        action=AuditAction.SIGNING_KEY_REVOKED,
        subject=revoked.subject,
        before={"revoked": False},
        after={"revoked": True, "actor": revoked.document().qualified_actor},
    )
    return revoked
