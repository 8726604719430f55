"""Bearer tokens of identity providers: JWTs, judged as RFC 8725 advises, and the roles that their claims give.

Nothing in a token says how it is to be judged: algorithms are fixed here, keys come from the address in the settings
only, and a token counts for the issuer and the audience that the settings name, or not at all.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode
from modelyard_runtime.clock import Clock
from modelyard_runtime.errors import PermanentError, TransientError
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.permissions import Role
from modelyard_runtime.principals import Principal, RolesByProject
from modelyard_runtime.problems import UnauthenticatedError, UnavailableError
from pydantic import BaseModel, ConfigDict, Field

ALGORITHMS = ("RS256", "ES256", "Ed25519")
SKEW_S = 60
TOKEN_CHARS_MAX = 8_192
ACTOR_CHARS_MAX = 200
RSA_BITS_MIN = 2_048
KEYS_BYTES_MAX = 256 * 1024
KEYS_FRESH_S = 600.0
KEYS_STALE_MAX_S = 3_600.0
REFRESH_EVERY_S = 30.0
FETCH_TIMEOUT_S = 5.0

# What a token must not bring along: keys, addresses of keys, or extensions that we would have to understand.
_FORBIDDEN_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"})

FIX = "Get a fresh access token for this audience from your identity provider."

log = structlog.get_logger()

Seconds = Callable[[], float]


class IdentityProviderUnavailableError(UnavailableError):
    """The identity provider's keys cannot be read at the moment."""


class IssuerSettings(BaseModel):
    """An identity provider that is believed.

    `name` prefixes its actors, as in `corp:alice`, so that they cannot pass for anyone else's. `jwks_url` is found
    through the provider's discovery document when it is absent. `role_claims` maps a value of the claim
    `roles_claim` (dots lead into nested objects) to roles by project; `*` stands for all projects.
    `token_types` are the header `typ`s that are taken, in lower case.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    issuer: str
    audience: str = Field(min_length=1)
    jwks_url: str | None = None
    actor_claim: str = "sub"
    roles_claim: str | None = None
    role_claims: dict[str, dict[str, frozenset[Role]]] = {}
    token_types: tuple[str, ...] = ("at+jwt", "application/at+jwt")


class IdentityProvider:
    """One issuer: its keys, and its tokens judged by them."""

    def __init__(self, settings: IssuerSettings, *, fetcher: Fetcher, clock: Clock, seconds: Seconds) -> None:
        self.settings = settings
        self._fetcher = fetcher
        self._clock = clock
        self._seconds = seconds
        self._keys: Mapping[str, RSAKey | ECKey | OKPKey] = {}
        self._fetched_at_s = float("-inf")
        self._tried_at_s = float("-inf")
        self._turn = asyncio.Lock()

    async def authenticate(self, token: str, header: Mapping[str, Any]) -> Principal:
        """Whom a token of this issuer proves. Raises UnauthenticatedError or IdentityProviderUnavailableError."""
        if str(header.get("typ", "")).lower() not in self.settings.token_types:
            raise _refused("its type is not one that is taken from this issuer")
        key = await self._key(str(header.get("kid", "")))
        try:
            decoded = jwt.decode(token, key, registry=JWSRegistry(algorithms=list(ALGORITHMS)))
            jwt.JWTClaimsRegistry(
                now=int(self._clock().timestamp()),
                leeway=SKEW_S,
                iss={"essential": True, "value": self.settings.issuer},
                aud={"essential": True, "value": self.settings.audience},
                exp={"essential": True},
                sub={"essential": True},
            ).validate(decoded.claims)
        except (JoseError, ValueError, TypeError, OverflowError) as error:
            raise _refused(f"it does not hold: {type(error).__name__}") from error
        return self._principal(decoded.claims)

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        subject = claims.get(self.settings.actor_claim)
        if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(subject) <= ACTOR_CHARS_MAX:
            raise _refused(f"its claim {self.settings.actor_claim} names nobody")
        roles: dict[str, frozenset[Role]] = {}
        for value in _values(claims, self.settings.roles_claim):
            for project, granted in self.settings.role_claims.get(value, {}).items():
                roles[project] = roles.get(project, frozenset()) | granted
        return Principal(actor=f"{self.settings.name}:{subject}", roles=roles)

    async def _key(self, kid: str) -> RSAKey | ECKey | OKPKey:
        if kid not in self._keys or self._age_s() > KEYS_FRESH_S:
            await self._refresh(kid)
        if self._age_s() > KEYS_STALE_MAX_S:
            raise IdentityProviderUnavailableError(
                f"The keys of {self.settings.issuer} cannot be read.", fix="Try again in a moment."
            )
        key = self._keys.get(kid)
        if key is None:
            raise _refused("no key of its issuer has that id")
        return key

    async def _refresh(self, kid: str) -> None:
        """Read the keys anew, unless that was tried a moment ago: made-up key ids must not become a flood."""
        async with self._turn:
            is_good = kid in self._keys and self._age_s() <= KEYS_FRESH_S
            if is_good or self._seconds() - self._tried_at_s < REFRESH_EVERY_S:
                return
            self._tried_at_s = self._seconds()
            try:
                self._keys = _usable_keys(await self._read(await self._jwks_url()))
                self._fetched_at_s = self._seconds()
            except (TransientError, PermanentError, ValueError) as error:
                log.warning("issuer_keys_not_read", issuer=self.settings.issuer, error=str(error)[:300])

    async def _jwks_url(self) -> str:
        if self.settings.jwks_url is not None:
            return self.settings.jwks_url
        base = self.settings.issuer.rstrip("/") + "/"
        discovered = await self._read(urljoin(base, ".well-known/openid-configuration"))
        if discovered.get("issuer") != self.settings.issuer or not isinstance(discovered.get("jwks_uri"), str):
            raise ValueError("the discovery document is not of this issuer")
        return str(discovered["jwks_uri"])

    async def _read(self, url: str) -> dict[str, Any]:
        answer = await self._fetcher.fetch("GET", url, timeout_s=FETCH_TIMEOUT_S, bytes_max=KEYS_BYTES_MAX)
        document = json.loads(answer.body) if answer.status == 200 else None
        if not isinstance(document, dict):
            raise ValueError(f"{url} answered {answer.status} or no JSON object")
        return document

    def _age_s(self) -> float:
        return self._seconds() - self._fetched_at_s


class IdentityProviders:
    """The issuers that the settings name."""

    def __init__(self, issuers: Sequence[IssuerSettings], *, fetcher: Fetcher, clock: Clock, seconds: Seconds) -> None:
        self._by_issuer = {
            each.issuer: IdentityProvider(each, fetcher=fetcher, clock=clock, seconds=seconds) for each in issuers
        }

    async def authenticate(self, token: str) -> Principal:
        """Whom a JWT proves. Raises UnauthenticatedError or IdentityProviderUnavailableError."""
        header, claims = _unproved(token)
        if header.get("alg") not in ALGORITHMS:
            raise _refused("its algorithm is not taken")
        if _FORBIDDEN_HEADERS & header.keys():
            raise _refused("its header says how it is to be judged")
        provider = self._by_issuer.get(str(claims.get("iss")))
        if provider is None:
            raise _refused("its issuer is not known here")
        return await provider.authenticate(token, header)


def looks_like_jwt(token: str) -> bool:
    """Whether a bearer token has three parts, as a signed JWT has."""
    return token.count(".") == 2


def _unproved(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a token claims, of which nothing is believed yet but whom to ask for the key."""
    if len(token) > TOKEN_CHARS_MAX:
        raise _refused("it is too long")
    try:
        header, claims = (json.loads(urlsafe_b64decode(part.encode())) for part in token.split(".")[:2])
    except (ValueError, RecursionError) as error:
        raise _refused("it cannot be read") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise _refused("it cannot be read")
    return header, claims


def _usable_keys(document: Mapping[str, Any]) -> dict[str, RSAKey | ECKey | OKPKey]:
    """The public signing keys of a set, by id. Anything else in it is passed over; a secret key never counts."""
    found: dict[str, RSAKey | ECKey | OKPKey] = {}
    listed = document.get("keys")
    for each in listed if isinstance(listed, list) else []:
        try:
            keys = KeySet.import_key_set({"keys": [each]}).keys
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
        for key in keys:
            is_weak = isinstance(key, RSAKey) and key.raw_value.key_size < RSA_BITS_MIN
            if isinstance(key, RSAKey | ECKey | OKPKey) and not is_weak and each.get("use", "sig") == "sig" and key.kid:
                found[key.kid] = key
    if not found:
        raise ValueError("the key set has no key that can be used")
    return found


def _values(claims: Mapping[str, Any], path: str | None) -> list[str]:
    found: Any = claims if path else None
    for name in (path or "").split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    listed = found if isinstance(found, list) else [found]
    return [each for each in listed if isinstance(each, str)]


def _refused(why: str) -> UnauthenticatedError:
    return UnauthenticatedError(f"The bearer token is not accepted: {why}.", fix=FIX)


def merged(first: RolesByProject, second: RolesByProject) -> RolesByProject:
    """The roles of both."""
    return {
        project: first.get(project, frozenset()) | second.get(project, frozenset()) for project in {*first, *second}
    }
