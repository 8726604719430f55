"""Who may do what, kept from the compacted access topic: callers are judged here without asking the registry.

A token's newest document decides, and a revoked one never works again: no older document, however late it
comes, brings it back. Expiry is judged by the clock at each look-up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import structlog
from modelyard_events.access import ApiTokenChanged, RolesGranted, SigningKeyChanged
from modelyard_events.codec import Poison, Received, Record, decode
from modelyard_events.envelope import RecordOrder
from modelyard_events.topics import ACCESS

from modelyard_runtime.access.permissions import Permission, Role
from modelyard_runtime.access.principals import Principal, RolesByProject
from modelyard_runtime.access.signing_keys import SigningKeys
from modelyard_runtime.clock import Clock
from modelyard_runtime.errors import TransientError
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.problems import UnauthenticatedReason, UnavailableError
from modelyard_runtime.state.keys import StateKeys
from modelyard_runtime.state.tail import Seconds, StateTail

log = structlog.get_logger()


NO_ROLES: RolesByProject = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    order: RecordOrder
    token_hash: bytes
    principal: Principal
    expires_at: datetime
    revoked: bool


@dataclass(frozen=True, slots=True)
class _Granted:
    order: RecordOrder
    roles: frozenset[Role]


class TokensUnknownError(UnavailableError):
    """Nobody can be told from anybody else yet."""

    code = "tokens-unknown"
    when = "The service has just started and has not read yet which tokens were issued."
    fix = "Send the request again after `Retry-After` seconds; /readyz says when the service is ready."


class AccessState(StateTail):
    """The API tokens that this process knows, the roles that actors were granted, and the signing keys by their ids."""

    name = "access"

    def __init__(
        self, *, kafka: KafkaConnection, prefix: str, keys: StateKeys | None, seconds: Seconds, clock: Clock
    ) -> None:
        super().__init__(kafka=kafka, topic=f"{prefix}{ACCESS.name}", keys=keys, seconds=seconds)
        self._clock = clock
        self._by_id: dict[str, _Known] = {}
        self._by_hash: dict[bytes, _Known] = {}
        self._grants: dict[str, Mapping[str, _Granted]] = {}
        self._roles: dict[str, RolesByProject] = {}
        self._signing_keys = SigningKeys()

    def find(self, token_hash: bytes) -> Principal | None:
        """Whom a token proves, by its hash; None when nobody, no longer, or not any more."""
        # Before the whole topic was read once, the document that revokes a token may still come.
        known = self._by_hash.get(token_hash) if self.has_caught_up else None
        if known is None or known.revoked or known.expires_at <= self._clock():
            return None
        return known.principal

    def why_not(self, token_hash: bytes) -> UnauthenticatedReason:
        """Why a token with that hash proves nobody. Raises TokensUnknownError before the whole topic was read once."""
        if not self.has_caught_up:
            raise TokensUnknownError("This service has just started and does not know yet which tokens were issued.")
        known = self._by_hash.get(token_hash)
        if known is None:
            return "unknown"
        return "revoked" if known.revoked else "expired"

    def roles_of(self, actor: str) -> RolesByProject:
        """The roles that an actor was granted: the same object until they change."""
        return self._roles.get(actor, NO_ROLES)

    async def find_signing_key(self, key_id: str) -> SigningKeyChanged | None:
        """The signing key of that id as it now is. Raises TransientError before the whole topic was read once."""
        if not self.has_caught_up:
            raise TransientError("the access topic is not read to its end yet")
        return self._signing_keys.find(key_id)

    def holding(self) -> str:
        """How many tokens, actors with granted roles, and signing keys there are."""
        return f"{len(self._by_id)} tokens, {len(self._roles)} grants, {len(self._signing_keys)} signing keys"

    def apply(self, records: list[Any]) -> None:
        """Take in documents of tokens, grants and keys; other records are somebody else's business."""
        for record in records:
            decoded = decode(Record(key=record.key, value=record.value, headers=tuple(record.headers)))
            match decoded:
                case Received(envelope=envelope, event=ApiTokenChanged() as document):
                    self._take_in(document, order=envelope.order)
                case Received(envelope=envelope, event=RolesGranted() as grant):
                    self._take_in_grant(grant, order=envelope.order)
                case Received(envelope=envelope, event=SigningKeyChanged() as key):
                    self._signing_keys.take_in(key, order=envelope.order)
                case Poison(reason=reason, detail=detail):
                    log.warning("access_record_ignored", key=repr(record.key), reason=reason, detail=detail)
                case _:
                    pass

    def _take_in(self, document: ApiTokenChanged, *, order: RecordOrder) -> None:
        before = self._by_id.get(document.token_id)
        if before is not None and order <= before.order:
            return
        known = _Known(
            order=order,
            token_hash=bytes.fromhex(document.token_hash.removeprefix("sha256:")),
            principal=principal_of(document),
            expires_at=document.expires_at,
            revoked=document.revoked or (before is not None and before.revoked),
        )
        if before is not None and before.token_hash != known.token_hash:
            self._by_hash.pop(before.token_hash, None)
        self._by_id[document.token_id] = known
        self._by_hash[known.token_hash] = known

    def _take_in_grant(self, grant: RolesGranted, *, order: RecordOrder) -> None:
        granted = self._grants.get(grant.actor, {})
        before = granted.get(grant.project)
        if before is not None and order <= before.order:
            return
        granted = {**granted, grant.project: _Granted(order, _roles_named(grant.roles))}
        self._grants[grant.actor] = granted
        self._roles[grant.actor] = {project: each.roles for project, each in granted.items()}


def principal_of(document: ApiTokenChanged) -> Principal:
    """Whom a token proves, and what it carries. A role or permission that this build does not know grants nothing."""
    scopes = document.scopes
    return Principal(
        actor=document.qualified_actor,
        roles={document.project: _roles_named(document.roles)},
        scopes=None if scopes is None else frozenset(Permission(each) for each in scopes if each in set(Permission)),
    )


def _roles_named(names: Iterable[str]) -> frozenset[Role]:
    return frozenset(Role(name) for name in names if name in set(Role))
