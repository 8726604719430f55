"""Tokens of an identity provider: good ones count with their roles, every known trick is refused."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from joserfc.jwk import OKPKey
from modelyard_runtime.access.issuers import IssuerSettings
from modelyard_runtime.access.oidc import (
    REFRESH_EVERY_S,
    SKEW_S,
    IdentityProviders,
    IdentityProviderUnavailableError,
)
from modelyard_runtime.access.permissions import Permission, Role
from modelyard_runtime.access.principals import hash_of
from modelyard_runtime.clock import utc_now
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.problems import UnauthenticatedError

from tests.world.issuer import (
    AUDIENCE,
    Issuer,
    an_ec_key,
    an_rsa_key,
    changed,
    open_issuer,
    part,
    signed_with_the_public_key,
    unsigned,
)

RSA, EC, OTHER = an_rsa_key("r1"), an_ec_key("e1"), an_rsa_key("r1")
KEYS_KEPT_S = 3_600.0
ED = OKPKey.generate_key("Ed25519", {"kid": "o1"})


class Desk:
    """The providers as the registry has them, with a clock for their keys that the test moves."""

    def __init__(self, issuer: Issuer, fetcher: Fetcher) -> None:
        self.now_s = 0.0
        self.ahead = timedelta()
        self.issuer = issuer
        settings = IssuerSettings(
            name="corp",
            issuer=issuer.url,
            audience=AUDIENCE,
            keys_kept_s=KEYS_KEPT_S,
            roles_claim="realm.roles",
            role_claims={"ml-team": {"bank": frozenset({Role.DATA_SCIENTIST})}},
        )
        self.providers = IdentityProviders(
            [settings], fetcher=fetcher, clock=lambda: utc_now() + self.ahead, seconds=lambda: self.now_s
        )

    async def refuses(self, token: str) -> bool:
        """Whether the token proves nobody."""
        try:
            await self.providers.authenticate(token)
        except UnauthenticatedError:
            return True
        return False


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_issuer(RSA, EC, ED) as issuer, Fetcher(allow=["127.0.0.0/8"]) as fetcher:
        yield Desk(issuer, fetcher)


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=["RS256", "ES256", "Ed25519"])
async def test_a_good_token_proves_an_actor_with_the_roles_of_its_claims(desk: Desk, key: Any) -> None:
    principal = await desk.providers.authenticate(desk.issuer.token(key, realm={"roles": ["ml-team", "else"]}))

    assert principal.actor == "corp:alice"
    assert principal.may(Permission.VERSIONS_REGISTER, "bank")
    assert not principal.may(Permission.MODELS_READ, "another")


async def test_claims_that_do_not_hold_are_refused(desk: Desk) -> None:
    now = int(time.time())
    issue = desk.issuer.token
    spoiled = {
        "another issuer": issue(iss="https://elsewhere.example"),
        "another audience": issue(aud="someone-else"),
        "no audience": issue(aud=None),
        "expired": issue(exp=now - 61),
        "endless": issue(exp=None),
        "not yet valid": issue(nbf=now + 120),
        "from the future": issue(iat=now + 120),
        "expiry is no number": issue(exp="tomorrow"),
        "nobody": issue(sub=None),
        "a name of control characters": issue(sub="a\nb"),
        "an endless name": issue(sub="a" * 201),
    }

    accepted = [name for name, token in spoiled.items() if not await desk.refuses(token)]

    assert accepted == []
    assert not await desk.refuses(issue(exp=now - 20)), "clocks may differ by less than a minute"
    assert not await desk.refuses(issue(aud=["x", AUDIENCE]))


async def test_headers_that_want_to_decide_are_refused(desk: Desk) -> None:
    issue = desk.issuer.token
    spoiled = {
        "an identity token": issue(header={"typ": "JWT"}),
        "no type": issue(header={"typ": ""}),
        "a key's address": issue(header={"jku": f"{desk.issuer.url}/keys"}),
        "a certificate's address": issue(header={"x5u": "https://elsewhere.example"}),
        "a key": issue(header={"jwk": OTHER.as_dict(private=False)}),
        "an algorithm that is not ours": issue(header={"alg": "RS512"}),
        "the public key as a secret": signed_with_the_public_key(issue(), RSA),
        "somebody else's key under a known id": issue(OTHER),
        "a key of another kind": issue(EC, header={"kid": "r1"}),
        "an unknown key": issue(header={"kid": "nobody's"}),
        "unsigned": unsigned(issue()),
        "a payload that was changed": changed(issue()),
        "no token at all": "a.b.c",
        "nested without end": f"{part('[' * 5_000)}.{part('{}')}.",
        "too long": issue(padding="x" * 9_000),
    }

    accepted = [name for name, token in spoiled.items() if not await desk.refuses(token)]

    assert accepted == []


async def test_a_judged_token_is_remembered_until_it_expires_or_its_key_goes(desk: Desk) -> None:
    now = int(time.time())
    good, brief = desk.issuer.token(), desk.issuer.token(EC, exp=now + 100 - SKEW_S)
    unheard = desk.providers.find(hash_of(good))
    alice = await desk.providers.authenticate(good)
    await desk.providers.authenticate(brief)

    remembered = desk.providers.find(hash_of(good))
    desk.ahead += timedelta(seconds=120)
    expired, still_good = desk.providers.find(hash_of(brief)), desk.providers.find(hash_of(good))
    desk.issuer.keys[:] = [EC]
    desk.now_s += REFRESH_EVERY_S
    assert await desk.refuses(desk.issuer.token(EC, header={"kid": "another"}))

    assert unheard is None
    assert remembered is alice
    assert (expired, still_good) == (None, alice)
    assert desk.providers.find(hash_of(good)) is None, "its key is withdrawn"


async def test_a_storm_of_unknown_key_ids_asks_the_issuer_once(desk: Desk) -> None:
    tokens = [desk.issuer.token(header={"kid": f"made-up-{number}"}) for number in range(40)]

    refusals = await asyncio.gather(*(desk.refuses(token) for token in tokens))

    assert all(refusals)
    assert desk.issuer.asked == 1
    desk.now_s += REFRESH_EVERY_S
    assert await desk.refuses(tokens[0])
    assert desk.issuer.asked == 2


async def test_a_rotated_key_is_found_and_a_withdrawn_one_stops_counting(desk: Desk) -> None:
    old, new = desk.issuer.token(), desk.issuer.token(an_rsa := an_rsa_key("r2"))
    assert not await desk.refuses(old)

    desk.issuer.keys[:] = [an_rsa]
    desk.now_s += REFRESH_EVERY_S

    assert not await desk.refuses(new)
    assert await desk.refuses(old)


async def test_an_issuer_that_is_away_is_believed_from_memory_for_an_hour(desk: Desk) -> None:
    token = desk.issuer.token()
    assert not await desk.refuses(token)

    desk.issuer.is_away = True
    desk.now_s += KEYS_KEPT_S - 1

    assert not await desk.refuses(token)
    desk.now_s += 2
    with pytest.raises(IdentityProviderUnavailableError):
        await desk.providers.authenticate(token)
