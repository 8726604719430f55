"""Whose token a request carries: named by the settings, issued by the registry, or of an identity provider.

An issued token, or what an actor of an identity provider was granted, is looked up in the database, and what was
found counts for a second: so long a token that another registry process has revoked may still be taken here. A
revocation in this process counts at once.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime

from modelyard_runtime.access.access_state import principal_of
from modelyard_runtime.access.oidc import IdentityProviders, looks_like_jwt
from modelyard_runtime.access.principals import (
    Principal,
    Principals,
    RolesByProject,
    hash_of,
    merged,
    no_token,
    unknown_token,
)
from modelyard_runtime.access.tokens import is_api_token
from modelyard_runtime.access.unknown_callers import UnknownCallers
from modelyard_runtime.clock import Clock
from modelyard_runtime.problems import UnauthenticatedError, UnauthenticatedReason

from modelyard_registry.access import store
from modelyard_registry.access.domain import ApiToken
from modelyard_registry.transactions.database import Database

FRESH_S = 1.0
REMEMBERED_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _LookedUp:
    token: ApiToken
    principal: Principal
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Granted:
    roles: RolesByProject
    until_s: float


class Authentication:
    """Judges bearer tokens."""

    def __init__(
        self,
        principals: Principals,
        *,
        database: Database,
        clock: Clock,
        unknown: UnknownCallers,
        providers: IdentityProviders | None = None,
    ) -> None:
        self._principals = principals
        self._providers = providers
        self._database = database
        self._clock = clock
        self._unknown = unknown
        self._looked_up: OrderedDict[bytes, _LookedUp] = OrderedDict()
        self._granted: OrderedDict[str, _Granted] = OrderedDict()

    async def authenticate(self, token: str | None) -> Principal:
        """Who holds `token`. Raises UnauthenticatedError when it is missing, nobody's, expired or revoked.

        Raises an UnavailableError when the database, or an identity provider, must be asked and is away.
        """
        try:
            return await self._authenticate(token)
        except UnauthenticatedError as error:
            self._unknown.note(error)
            raise

    async def _authenticate(self, token: str | None) -> Principal:
        if not token:
            raise no_token()
        named = self._principals.find(hash_of(token))
        if named is not None:
            return named
        if is_api_token(token):
            return await self._issued(hash_of(token))
        if self._providers is not None and looks_like_jwt(token):
            proved = await self._providers.authenticate(token)
            return replace(proved, roles=merged(proved.roles, await self._grants_of(proved.actor)))
        raise unknown_token("unknown")

    def forget(self, token_hash: bytes) -> None:
        """Ask the database again: this token was changed."""
        self._looked_up.pop(token_hash, None)

    async def _grants_of(self, actor: str) -> RolesByProject:
        found = self._granted.get(actor)
        if found is None or found.until_s <= time.monotonic():
            until_s = time.monotonic() + FRESH_S
            async with self._database.reading() as connection:
                grants = await store.list_grants_of(connection, actor)
            found = _Granted(roles={each.project: frozenset(each.roles) for each in grants}, until_s=until_s)
            self._granted[actor] = found
            while len(self._granted) > REMEMBERED_MAX:
                self._granted.popitem(last=False)
        return found.roles

    async def _issued(self, token_hash: bytes) -> Principal:
        now = self._clock()
        found = self._looked_up.get(token_hash)
        if found is None or found.until_s <= time.monotonic():
            found = await self._look_up(token_hash)
        reason = _why_not(found, now=now)
        if found is None or reason is not None:
            raise unknown_token(reason or "unknown")
        return found.principal

    async def _look_up(self, token_hash: bytes) -> _LookedUp | None:
        # Reckoned from before the question: an answer may be older than its arrival.
        until_s = time.monotonic() + FRESH_S
        now = self._clock()
        async with self._database.reading() as connection:
            token = await store.find_token_by_hash(connection, token_hash)
            if token is not None and (token.last_used_at is None or token.last_used_at < now - store.USED_EVERY):
                await store.note_use(connection, token.id, now=now)
        if token is None:
            return None
        principal = replace(principal_of(token.document()), stands_for=token.stands_for, issuers=token.issuers)
        found = _LookedUp(token=token, principal=principal, until_s=until_s)
        self._looked_up[token_hash] = found
        while len(self._looked_up) > REMEMBERED_MAX:
            self._looked_up.popitem(last=False)
        return found


def _why_not(found: _LookedUp | None, *, now: datetime) -> UnauthenticatedReason | None:
    if found is None:
        return "unknown"
    if found.token.revoked_at is not None:
        return "revoked"
    return "expired" if found.token.expires_at <= now else None
