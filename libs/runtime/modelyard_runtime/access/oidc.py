"""Bearer tokens of identity providers: JWTs, judged as RFC 8725 advises, and the roles that their claims give.

Nothing in a token says how it is to be judged: algorithms are fixed here, keys come from the address in the settings
only, and a token counts for the issuer and the audience that the settings name, or not at all.

Keys are read beside the requests. A request waits for an issuer only when it brings a key id that was never seen,
and that at most once in a while; a token that was judged is remembered by its hash until it expires or its key goes.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import structlog
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode
from modelyard_events.actors import actor_of_issuer

from modelyard_runtime.access.issuers import IssuerSettings
from modelyard_runtime.access.permissions import Role
from modelyard_runtime.access.principals import Principal, hash_of
from modelyard_runtime.clock import Clock
from modelyard_runtime.ed25519 import why_unusable
from modelyard_runtime.errors import PermanentError, TransientError
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.problems import UnauthenticatedError, UnauthenticatedReason, UnavailableError

ALGORITHMS = ("RS256", "ES256", "Ed25519")
SKEW_S = 60
TOKEN_CHARS_MAX = 8_192
SUBJECT_CHARS_MAX = 200
RSA_BITS_MIN = 2_048
RSA_BITS_MAX = 8_192
"""Verifying with a larger key takes so long that it holds up others."""
KEYS_MAX = 100
LAST_MOMENT_S = 253_402_300_799
"""The last second of the year 9999."""
KEYS_BYTES_MAX = 256 * 1024
KEYS_FRESH_S = 600.0
REFRESH_EVERY_S = 30.0
FIRST_RETRY_S = 2.0
LOOK_EVERY_S = 1.0
FETCH_TIMEOUT_S = 5.0
REMEMBERED_MAX = 10_000

# What a token must not bring along: keys, addresses of keys, or extensions that we would have to understand.
_FORBIDDEN_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"})

FIX = "Get a fresh access token for this audience from your identity provider."

log = structlog.get_logger()

Seconds = Callable[[], float]
Key = RSAKey | ECKey | OKPKey


class IdentityProviderUnavailableError(UnavailableError):
    """The identity provider's keys cannot be read at the moment."""

    code = "identity-provider-unavailable"
    when = "The token is from the identity provider, whose keys cannot be fetched now."
    fix = "Try again in a moment."


class IdentityProvider:
    """One issuer: its keys, and its tokens judged by them."""

    def __init__(self, settings: IssuerSettings, *, fetcher: Fetcher, clock: Clock, seconds: Seconds) -> None:
        self.settings = settings
        self._fetcher = fetcher
        self._clock = clock
        self._seconds = seconds
        self._keys: Mapping[str, Key] = {}
        self._fetched_at_s = float("-inf")
        self._tried_at_s = float("-inf")
        self._turn = asyncio.Lock()

    async def prove(self, token: str, header: Mapping[str, Any]) -> "Proved":
        """Whom a token of this issuer proves. Raises UnauthenticatedError or IdentityProviderUnavailableError."""
        if str(header.get("typ", "")).lower() not in self.settings.token_types:
            raise _refused("its type is not one that is taken from this issuer", reason="header")
        kid = str(header.get("kid", ""))
        key = await self._key(kid)
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
        except ExpiredTokenError as error:
            raise _refused("it has expired", reason="expired") from error
        except (JoseError, ValueError, TypeError, OverflowError) as error:
            raise _refused(f"it does not hold: {type(error).__name__}", reason="claims") from error
        self._refuse_times(decoded.claims)
        principal = self._principal(decoded.claims)
        return Proved(principal=principal, provider=self, kid=kid, key=key, until_s=decoded.claims["exp"] + SKEW_S)

    def _refuse_times(self, claims: Mapping[str, Any]) -> None:
        for name in ("exp", "nbf", "iat"):
            if name in claims and not is_moment(claims[name]):
                raise _refused(f"its claim {name} is no moment", reason="claims")
        if claims["exp"] - self._clock().timestamp() > self.settings.lifetime_s_max + SKEW_S:
            raise _refused(f"it would count for more than {self.settings.lifetime_s_max:g} s", reason="claims")

    def trusts(self, kid: str, key: Key) -> bool:
        """Whether the issuer's key of that id is still this one, as far as is known here."""
        return self._keys.get(kid) is key and self._age_s() <= self.settings.keys_kept_s

    async def keep_fresh(self) -> None:
        """Read the keys anew once they are not fresh, beside the requests, until cancelled."""
        while True:
            if self._age_s() > KEYS_FRESH_S:
                async with self._turn:
                    await self._read_keys()
            await asyncio.sleep(LOOK_EVERY_S)

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        subject = claims.get(self.settings.actor_claim)
        if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(subject) <= SUBJECT_CHARS_MAX:
            raise _refused(f"its claim {self.settings.actor_claim} names nobody", reason="claims")
        roles: dict[str, frozenset[Role]] = {}
        for value in _values(claims, self.settings.roles_claim):
            for project, granted in self.settings.role_claims.get(value, {}).items():
                roles[project] = roles.get(project, frozenset()) | granted
        return Principal(actor=actor_of_issuer(subject, issuer=self.settings.name), roles=roles)

    async def _key(self, kid: str) -> Key:
        if kid not in self._keys or self._age_s() > self.settings.keys_kept_s:
            async with self._turn:
                # Whoever waited here may find that the one before has brought it.
                if kid not in self._keys or self._age_s() > self.settings.keys_kept_s:
                    await self._read_keys()
        if self._age_s() > self.settings.keys_kept_s:
            raise IdentityProviderUnavailableError(f"The keys of {self.settings.issuer} cannot be read.")
        key = self._keys.get(kid)
        if key is None:
            raise _refused("no key of its issuer has that id", reason="key")
        return key

    async def _read_keys(self) -> None:
        """Read the keys anew, unless that was tried a moment ago: made-up key ids must not become a flood."""
        wait_s = REFRESH_EVERY_S if self._keys else FIRST_RETRY_S
        if self._seconds() - self._tried_at_s < wait_s:
            return
        self._tried_at_s = self._seconds()
        try:
            found = _usable_keys(await self._read(await self._jwks_url()))
        except (TransientError, PermanentError, ValueError, RecursionError) as error:
            log.warning("issuer_keys_not_read", issuer=self.settings.issuer, error=str(error)[:300])
            return
        # A key that stays is the same object as before: by that, remembered tokens know that theirs is still there.
        self._keys = {kid: _same(self._keys.get(kid), key) for kid, key in found.items()}
        self._fetched_at_s = self._seconds()

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """Whom a token proved, by which key, and until when it counts, in seconds of the calendar."""

    principal: Principal
    provider: IdentityProvider
    kid: str
    key: Key
    until_s: float


class IdentityProviders:
    """The issuers that the settings name, and the tokens of theirs that were judged, by their hashes."""

    def __init__(self, issuers: Sequence[IssuerSettings], *, fetcher: Fetcher, clock: Clock, seconds: Seconds) -> None:
        self._clock = clock
        self._proved: OrderedDict[bytes, Proved] = OrderedDict()
        self._by_issuer = {
            each.issuer: IdentityProvider(each, fetcher=fetcher, clock=clock, seconds=seconds) for each in issuers
        }

    def find(self, token_hash: bytes) -> Principal | None:
        """Whom a token proves that was judged before, by its hash. Never waits."""
        proved = self._proved.get(token_hash)
        if proved is None:
            return None
        if self._clock().timestamp() > proved.until_s or not proved.provider.trusts(proved.kid, proved.key):
            del self._proved[token_hash]
            return None
        return proved.principal

    async def authenticate(self, token: str) -> Principal:
        """Whom a JWT proves. Raises UnauthenticatedError or IdentityProviderUnavailableError."""
        token_hash = hash_of(token)
        principal = self.find(token_hash)
        if principal is not None:
            return principal
        header, claims = _unproved(token)
        if header.get("alg") not in ALGORITHMS:
            raise _refused("its algorithm is not taken", reason="header")
        if _FORBIDDEN_HEADERS & header.keys():
            raise _refused("its header says how it is to be judged", reason="header")
        provider = self._by_issuer.get(str(claims.get("iss")))
        if provider is None:
            raise _refused("its issuer is not known here", reason="issuer")
        proved = await provider.prove(token, header)
        self._proved[token_hash] = proved
        while len(self._proved) > REMEMBERED_MAX:
            self._proved.popitem(last=False)
        return proved.principal

    async def run(self) -> None:
        """Keep the keys of all issuers fresh until cancelled."""
        async with asyncio.TaskGroup() as group:
            for provider in self._by_issuer.values():
                group.create_task(provider.keep_fresh())
            await asyncio.Event().wait()


def looks_like_jwt(token: str) -> bool:
    """Whether a bearer token has three parts, as a signed JWT has."""
    return token.count(".") == 2


def _unproved(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a token claims, of which nothing is believed yet but whom to ask for the key."""
    if len(token) > TOKEN_CHARS_MAX:
        raise _refused("it is too long", reason="malformed")
    try:
        header, claims = (json.loads(urlsafe_b64decode(part.encode())) for part in token.split(".")[:2])
    except (ValueError, RecursionError) as error:
        raise _refused("it cannot be read", reason="malformed") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise _refused("it cannot be read", reason="malformed")
    return header, claims


def _usable_keys(document: Mapping[str, Any]) -> dict[str, Key]:
    """The public signing keys of a set, by id. Anything else in it is passed over; a secret key never counts."""
    found: dict[str, Key] = {}
    listed = document.get("keys")
    if isinstance(listed, list) and len(listed) > KEYS_MAX:
        raise ValueError(f"the key set has more than {KEYS_MAX} keys")
    twice: set[str] = set()
    for each in listed if isinstance(listed, list) else []:
        try:
            keys = KeySet.import_key_set({"keys": [each]}).keys
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
        for key in keys:
            if not isinstance(key, RSAKey | ECKey | OKPKey) or not key.kid or each.get("use", "sig") != "sig":
                continue
            twice.update({key.kid} & found.keys())
            found[key.kid] = key
    # Of two keys of one id none counts; a weak one does not make place for another.
    found = {kid: key for kid, key in found.items() if kid not in twice and not _is_weak(key)}
    if not found:
        raise ValueError("the key set has no key that can be used")
    return found


def is_moment(value: object) -> bool:
    """Whether a claim is a number of seconds since 1970 that a calendar has: true, NaN and 1e308 are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LAST_MOMENT_S


def _is_weak(key: Key) -> bool:
    if isinstance(key, RSAKey):
        return not RSA_BITS_MIN <= key.raw_value.key_size <= RSA_BITS_MAX
    raw = key.raw_value
    if isinstance(key, OKPKey):
        is_ed25519 = key.as_dict(private=False).get("crv") == "Ed25519"
        return not is_ed25519 or not hasattr(raw, "public_bytes_raw") or bool(why_unusable(raw.public_bytes_raw()))
    return False


def _values(claims: Mapping[str, Any], path: str | None) -> list[str]:
    """The texts of a claim: of the one that has the whole name, as a URL, else of what its dots lead to."""
    found: Any = claims if path else None
    for name in [path] if path in claims else (path or "").split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    listed = found if isinstance(found, list) else [found]
    return [each for each in listed if isinstance(each, str)]


def _same(known: Key | None, key: Key) -> Key:
    return known if known is not None and known.as_dict(private=False) == key.as_dict(private=False) else key


def _refused(why: str, *, reason: UnauthenticatedReason) -> UnauthenticatedError:
    return UnauthenticatedError(f"The bearer token is not accepted: {why}.", fix=FIX, reason=reason)
