"""What an identity provider may say, and what nobody can mean: moments, weak keys, long names, claims with dots."""

import base64
import time
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc.errors import SecurityWarning
from joserfc.jwk import OKPKey, RSAKey
from modelyard_events.limits import ACTOR_CHARS_MAX
from modelyard_runtime.access.issuers import IssuerSettings
from modelyard_runtime.access.oidc import IdentityProviders
from modelyard_runtime.access.permissions import Permission, Role
from modelyard_runtime.access.principals import Principal
from modelyard_runtime.access.refusals import RefusalFacts
from modelyard_runtime.clock import utc_now
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.problems import ForbiddenError

from tests.integration.runtime.test_oidc import EC, RSA, Desk, desk
from tests.world.issuer import AUDIENCE, an_ec_key, open_issuer, part

__all__ = ["desk"]


def claiming(text: str) -> str:
    """A signed token whose claims are this JSON, which no library would write."""
    header = part('{"alg":"RS256","typ":"at+jwt","kid":"r1"}')
    body = part(text)
    private: Any = RSA.raw_value
    signature = private.sign(f"{header}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{header}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("moment", ["1e308", "1" + "0" * 400, "-1", "true", "NaN", "Infinity", "[]", '"5"', "null"])
async def test_a_moment_that_no_calendar_has_proves_nobody(desk: Desk, name: str, moment: str) -> None:
    now = int(time.time())
    times = {"exp": str(now + 300), "iat": str(now), "nbf": str(now), name: moment}
    said = ",".join(f'"{claim}":{value}' for claim, value in times.items())

    assert await desk.refuses(claiming(f'{{"iss":"{desk.issuer.url}","aud":"{AUDIENCE}","sub":"a",{said}}}'))


async def test_a_token_counts_for_a_day_at_most(desk: Desk) -> None:
    now = int(time.time())

    assert await desk.refuses(desk.issuer.token(exp=now + 2 * 86_400))
    assert not await desk.refuses(desk.issuer.token(exp=now + 86_000))


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_a_weak_key_of_the_provider_proves_nobody(desk: Desk) -> None:
    small_order = base64.urlsafe_b64encode(bytes(32)).rstrip(b"=").decode()
    with pytest.warns(SecurityWarning):
        weak = RSAKey.generate_key(1_024, {"kid": "weak", "use": "sig"})
    zero = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": small_order, "kid": "zero"})
    desk.issuer.keys = [RSA, weak, zero]

    assert not await desk.refuses(desk.issuer.token(RSA))
    assert await desk.refuses(desk.issuer.token(weak))
    header, body = part('{"alg":"Ed25519","typ":"at+jwt","kid":"zero"}'), desk.issuer.token(RSA).split(".")[1]
    assert await desk.refuses(f"{header}.{body}.{base64.urlsafe_b64encode(bytes(64)).rstrip(b'=').decode()}")


async def test_of_two_keys_of_one_id_neither_counts(desk: Desk) -> None:
    other = an_ec_key("e1")
    desk.issuer.keys = [RSA, EC, other]

    assert await desk.refuses(desk.issuer.token(EC))
    assert await desk.refuses(desk.issuer.token(other))
    assert not await desk.refuses(desk.issuer.token(RSA))


async def test_a_key_set_of_hundreds_of_keys_is_not_read(desk: Desk) -> None:
    desk.issuer.keys = [RSA, *(an_ec_key(f"k{number}") for number in range(100))]

    with pytest.raises(Exception, match="cannot be read"):
        await desk.providers.authenticate(desk.issuer.token(RSA))


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("https://modelyard.example.com/roles", {"https://modelyard.example.com/roles": ["ml-team"]}),
        ("realm.roles", {"realm.roles": "ml-team"}),
        ("realm.roles", {"realm": {"roles": ["ml-team"]}}),
        ("roles", {"roles": ["ml-team"]}),
    ],
)
async def test_roles_are_found_under_the_whole_name_of_a_claim_or_along_its_dots(
    path: str, claims: dict[str, Any]
) -> None:
    async with open_issuer(RSA) as issuer, Fetcher(allow=["127.0.0.0/8"]) as fetcher:
        settings = IssuerSettings(
            name="corp",
            issuer=issuer.url,
            audience=AUDIENCE,
            roles_claim=path,
            role_claims={"ml-team": {"bank": frozenset({Role.DATA_SCIENTIST})}},
        )
        providers = IdentityProviders([settings], fetcher=fetcher, clock=utc_now, seconds=time.monotonic)

        principal = await providers.authenticate(issuer.token(**claims))

    assert principal.may(Permission.VERSIONS_REGISTER, "bank")


async def test_the_refusal_of_the_longest_actor_is_a_fact(desk: Desk) -> None:
    principal = await desk.providers.authenticate(desk.issuer.token(sub="ü" * 200))
    longest = replace(principal, actor=f"{'i' * 31}:{'ü' * 200}")
    facts = RefusalFacts("router", clock=utc_now, new_id=new_uuid7)

    for each in (principal, longest, Principal(actor="x" * ACTOR_CHARS_MAX)):
        error = ForbiddenError(f"{each.actor} lacks it.", fix="Ask.", permission="predictions:make", project="bank")
        facts.note(error, actor=each.actor, method="POST", path="/v1/route", request_id=None)

    assert len(principal.actor) == 205


@pytest.mark.parametrize("name", ["service", "training-job"])
def test_a_provider_cannot_bear_the_name_of_our_own_actors(name: str) -> None:
    with pytest.raises(ValueError, match="kept for Modelyard's own"):
        IssuerSettings(name=name, issuer="https://id.example", audience="x")
