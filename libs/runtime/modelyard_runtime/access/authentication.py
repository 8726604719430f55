"""Whose token a call carries, found without asking the registry: named by the settings, issued, or of an issuer.

The roles that an actor was granted, as the access topic says them, count for whoever an identity provider says it is,
beside those that its claims give. Nothing here waits but the first sight of an identity provider's token.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Protocol

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
from modelyard_runtime.access.unknown_callers import UnknownCallers
from modelyard_runtime.problems import UnauthenticatedError

REMEMBERED_MAX = 10_000


class Grants(Protocol):
    """Which roles actors were granted."""

    def roles_of(self, actor: str) -> RolesByProject:
        """The roles of an actor: the same object until they change."""
        ...


@dataclass(frozen=True, slots=True)
class _Merged:
    proved: Principal
    granted: RolesByProject
    principal: Principal


class Authentication:
    """Judges bearer tokens by what this process knows."""

    def __init__(
        self, principals: Principals, *, grants: Grants, providers: IdentityProviders, unknown: UnknownCallers
    ) -> None:
        self._principals = principals
        self._grants = grants
        self._providers = providers
        self._unknown = unknown
        self._merged: OrderedDict[str, _Merged] = OrderedDict()

    def find(self, token: str) -> Principal | None:
        """Who holds a token, if that is known without waiting; None also for a JWT that was not judged yet."""
        token_hash = hash_of(token)
        principal = self._principals.find(token_hash)
        if principal is not None:
            return principal
        proved = self._providers.find(token_hash)
        return None if proved is None else self._with_grants(proved)

    async def authenticate(self, token: str | None) -> Principal:
        """Who holds `token`. Raises UnauthenticatedError when it is missing, nobody's, expired or revoked.

        Raises IdentityProviderUnavailableError when the token's issuer was never reached, or not for too long.
        """
        try:
            return await self._authenticate(token)
        except UnauthenticatedError as error:
            self._unknown.note(error)
            raise

    async def _authenticate(self, token: str | None) -> Principal:
        if not token:
            raise no_token()
        principal = self.find(token)
        if principal is not None:
            return principal
        if looks_like_jwt(token):
            return self._with_grants(await self._providers.authenticate(token))
        raise unknown_token(self._principals.why_not(hash_of(token)))

    def _with_grants(self, proved: Principal) -> Principal:
        granted = self._grants.roles_of(proved.actor)
        if not granted:
            return proved
        known = self._merged.get(proved.actor)
        if known is None or known.proved is not proved or known.granted is not granted:
            principal = replace(proved, roles=merged(proved.roles, granted))
            known = self._merged[proved.actor] = _Merged(proved, granted, principal)
            while len(self._merged) > REMEMBERED_MAX:
                self._merged.popitem(last=False)
        return known.principal
