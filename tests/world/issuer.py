"""An identity provider on this machine: real keys, a real key set over HTTP, tokens good and bad."""

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

AUDIENCE = "modelyard"

Key = RSAKey | ECKey | OKPKey


def an_rsa_key(kid: str) -> RSAKey:
    """A new RSA key."""
    return RSAKey.generate_key(2_048, {"kid": kid, "use": "sig"})


def an_ec_key(kid: str) -> ECKey:
    """A new key on P-256."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


@dataclass
class Issuer:
    """The provider; `keys` are those that it publishes, `asked` how often it was asked for them."""

    keys: list[Key] = field(default_factory=list)
    url: str = ""
    asked: int = 0
    is_away: bool = False

    async def discovery(self, _: web.Request) -> web.Response:
        return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    async def key_set(self, _: web.Request) -> web.Response:
        self.asked += 1
        if self.is_away:
            return web.Response(status=503)
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})

    def token(self, key: Any = None, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A token that is good for five minutes, unless `header` or `claims` spoil it; None leaves a claim out."""
        signing = key or self.keys[0]
        algorithm = "ES256" if isinstance(signing, ECKey) else "Ed25519" if isinstance(signing, OKPKey) else "RS256"
        now = int(time.time())
        said = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300, **claims}
        full_header = {"alg": algorithm, "typ": "at+jwt", "kid": signing.kid, **(header or {})}
        registry = JWSRegistry(algorithms=[full_header["alg"]], strict_check_header=False)
        return jwt.encode(
            full_header, {name: value for name, value in said.items() if value is not None}, signing, registry=registry
        )


@asynccontextmanager
async def open_issuer(*keys: Key) -> AsyncIterator[Issuer]:
    """Serve an issuer that publishes these keys."""
    issuer = Issuer(keys=list(keys))
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", issuer.discovery)
    app.router.add_get("/keys", issuer.key_set)
    async with TestServer(app) as server:
        issuer.url = str(server.make_url("")).rstrip("/")
        yield issuer


def part(text: str) -> str:
    """One part of a token."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unsigned(token: str) -> str:
    """The token with the algorithm `none`."""
    return f"{part(json.dumps({'alg': 'none', 'typ': 'at+jwt', 'kid': 'r1'}))}.{token.split('.')[1]}."


def signed_with_the_public_key(token: str, key: RSAKey) -> str:
    """The token with the public key as the secret of an HMAC."""
    signed = f"{part(json.dumps({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'r1'}))}.{token.split('.')[1]}"
    signature = hmac.new(key.as_pem(private=False), signed.encode(), "sha256").digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def changed(token: str) -> str:
    """The token in another name, with the signature that it had."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{header}.{part(json.dumps({**claims, 'sub': 'mallory'}))}.{signature}"
