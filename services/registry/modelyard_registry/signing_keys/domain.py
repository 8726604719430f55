"""The rules of signing keys: whose events they prove, on which topics, about what, until when. Pure.

The registry is given the public half only; whoever holds the private half never shows it to anyone.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from modelyard_events.access import SigningKeyChanged
from modelyard_events.topics import ENTITY_CHANGES, TRAINING_RUNS
from modelyard_runtime.access.permissions import ALL_PROJECTS, Permission
from modelyard_runtime.access.principals import Principal
from modelyard_runtime.ed25519 import why_unusable
from modelyard_runtime.problems import ConflictError, InvalidRequestError, NotFoundError

from modelyard_registry.access.domain import LIFETIME_MAX, refuse_more_than_own

PERMISSIONS: Mapping[str, Permission] = {
    TRAINING_RUNS.name: Permission.VERSIONS_REGISTER,
    ENTITY_CHANGES.name: Permission.ENTITIES_CHANGE,
}
"""What an event on each ingest topic does, as the permission that does it by HTTP."""


class SigningKeyNotFoundError(NotFoundError):
    """There is no such signing key."""

    code = "signing-key-not-found"
    when = "No signing key of this id exists among those that the caller manages."
    fix = "List keys with GET /api/v1/access/signing-keys."


class SigningKeyRevokedError(ConflictError):
    """The signing key is revoked already."""

    code = "signing-key-revoked"
    when = "The signing key that is to be revoked was revoked before."
    fix = "Nothing is left to do: a revoked key never works again."


class SigningKeyKnownError(ConflictError):
    """The public key is registered already."""

    code = "signing-key-known"
    when = "The public key is, or was, registered for an actor and project."
    fix = "Generate a new pair; a key whose end has come is never registered again."


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSigningKey:
    """Ask that events signed with a key count as `actor`'s, on `topics`, for `project` (and only about `tenants`)."""

    actor: str
    project: str
    topics: frozenset[str]
    tenants: frozenset[str] | None
    public_key: bytes
    expires_at: datetime
    description: str | None


def refuse_unless_registrable(command: RegisterSigningKey, *, manager: Principal, now: datetime) -> None:
    """Raise InvalidRequestError for a key that proves nothing, ForbiddenError for one that may more than its giver."""
    if command.expires_at <= now or command.expires_at > now + LIFETIME_MAX:
        raise InvalidRequestError(
            f"expires_at must lie in the future, at most {LIFETIME_MAX.days} days ahead.",
            fix="Give a nearer moment, and register a new key before that one ends.",
        )
    unusable = why_unusable(command.public_key)
    if unusable is not None:
        raise InvalidRequestError(
            f"public_key is {unusable}.",
            fix="Generate the pair with an Ed25519 library, and send the 32 bytes of its public key in base64.",
        )
    if ENTITY_CHANGES.name in command.topics and command.tenants is None and command.project != ALL_PROJECTS:
        raise InvalidRequestError(
            f"A key of one project must name the `tenants` that its events on {ENTITY_CHANGES.name} may be about.",
            fix="Name the tenants, or register the key for the project `*`.",
        )
    refuse_more_than_own((PERMISSIONS[each] for each in command.topics), project=command.project, giver=manager)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A signing key as the registry keeps it."""

    id: str
    public_key: bytes
    actor: str
    project: str
    topics: tuple[str, ...]
    tenants: tuple[str, ...] | None
    description: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    sequence: int

    @property
    def key(self) -> str:
        """Its key on the access topic."""
        return f"key/{self.id}"

    @property
    def subject(self) -> str:
        """Its place in the audit log."""
        return f"access/signing-keys/{self.id}"

    @property
    def public_key_text(self) -> str:
        """The public key in base64."""
        return base64.b64encode(self.public_key).decode()

    def document(self) -> SigningKeyChanged:
        """What the access topic says of it."""
        return SigningKeyChanged(
            key_id=self.id,
            public_key=self.public_key_text,
            actor=self.actor,
            project=self.project,
            topics=self.topics,
            tenants=self.tenants,
            expires_at=self.expires_at,
            revoked=self.revoked_at is not None,
        )
