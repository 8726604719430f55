"""Tokens of an identity provider open the router, judged without the registry; every known trick is refused."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from modelyard_events.access import RolesGranted
from modelyard_events.envelope import Envelope
from modelyard_events.topics import ACCESS
from modelyard_runtime.access.issuers import IssuerSettings
from modelyard_runtime.access.permissions import Role

from tests.integration.router.world import Router, World, eventually
from tests.routing_builders import a_document, a_version
from tests.world.issuer import (
    AUDIENCE,
    Issuer,
    an_ec_key,
    an_rsa_key,
    changed,
    open_issuer,
    signed_with_the_public_key,
    unsigned,
)
from tests.world.state_signing import signed_document

pytestmark = pytest.mark.integration

RSA, EC, OTHER = an_rsa_key("r1"), an_ec_key("e1"), an_rsa_key("r1")
GATEWAY: dict[str, Any] = {"groups": ["gateways"]}
QUESTION = {"model_type": "risk-scoring"}


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with open_issuer(RSA, EC) as opened:
        yield opened


@asynccontextmanager
async def a_router(world: World, issuer: Issuer) -> AsyncIterator[Router]:
    """A router that believes this issuer, and routes."""
    believed = IssuerSettings(
        name="corp",
        issuer=issuer.url,
        audience=AUDIENCE,
        roles_claim="groups",
        role_claims={"gateways": {"default": frozenset({Role.GATEWAY})}},
    )
    await world.topics.publish(a_document(a_version("everyone")))
    async with world.router(oidc_issuers=(believed,)) as router:
        yield router


async def status(router: Router, token: str, **attributes: object) -> int:
    """How the router answers a question that comes with this token."""
    return (await router.post("/v1/route", {**QUESTION, **attributes}, token=token))[0]


async def grant(world: World, actor: str, *roles: str, sequence: int, project: str = "default") -> None:
    """Publish what an actor is granted, as the registry does."""
    event = RolesGranted(actor=actor, project=project, roles=roles)
    envelope = Envelope(
        id=f"{actor}-{project}-{sequence}",
        source="/modelyard/registry",
        type=event.type,
        subject=f"grant/{project}/{actor}",
        occurred_at=datetime.now(UTC),
        sequence=sequence,
        generation=1,
    )
    record = signed_document(event, envelope)
    await world.topics.producer.send_and_wait(
        f"{world.topics.prefix}{ACCESS.name}", key=record.key, value=record.value, headers=list(record.headers)
    )


async def test_a_token_opens_the_router_in_the_projects_that_its_claims_give(world: World, issuer: Issuer) -> None:
    async with a_router(world, issuer) as router:
        good = await status(router, issuer.token(**GATEWAY)), await status(router, issuer.token(EC, **GATEWAY))
        dump, _ = await router.get("/v1/routes", token=issuer.token(**GATEWAY))
        abroad, problem = await router.post(
            "/v1/route", {**QUESTION, "project": "other"}, token=issuer.token(**GATEWAY)
        )
        nobody = await status(router, issuer.token(sub="norma"))

    assert good == (200, 200)
    assert (dump, abroad, nobody) == (403, 403, 403)
    assert "corp:alice" in problem["detail"]


async def test_granted_roles_count_beside_the_claims_and_stop_counting_when_they_are_taken(
    world: World, issuer: Issuer
) -> None:
    token = issuer.token(sub="norma")

    async with a_router(world, issuer) as router:
        before = await status(router, token)
        await grant(world, "corp:norma", "gateway", "of a newer build", sequence=1)
        await eventually(lambda: _answers(router, token, 200))
        await grant(world, "corp:norma", sequence=2)
        await eventually(lambda: _answers(router, token, 403))
        # A relay that was paused may wake and say an old grant last.
        await grant(world, "corp:norma", "gateway", sequence=1)
        await grant(world, "corp:otto", "gateway", sequence=1)
        await eventually(lambda: _answers(router, issuer.token(sub="otto"), 200))
        after = await status(router, token)

    assert (before, after) == (403, 403)


async def test_every_known_attack_on_tokens_is_refused(world: World, issuer: Issuer) -> None:
    now = int(time.time())
    spoiled = {
        "unsigned": unsigned(issuer.token(**GATEWAY)),
        "the public key as a secret": signed_with_the_public_key(issuer.token(**GATEWAY), RSA),
        "somebody else's key under a known id": issuer.token(OTHER, **GATEWAY),
        "a key of another kind": issuer.token(EC, header={"kid": "r1"}, **GATEWAY),
        "another name": changed(issuer.token(**GATEWAY)),
        "another issuer": issuer.token(iss="https://elsewhere.example", **GATEWAY),
        "another audience": issuer.token(aud="someone-else", **GATEWAY),
        "an identity token": issuer.token(header={"typ": "JWT"}, **GATEWAY),
        "expired": issuer.token(exp=now - 61, **GATEWAY),
        "not yet valid": issuer.token(nbf=now + 120, **GATEWAY),
        "endless": issuer.token(exp=float("inf"), **GATEWAY),
        "a key's address": issuer.token(header={"jku": f"{issuer.url}/keys"}, **GATEWAY),
        "a certificate's address": issuer.token(header={"x5u": f"{issuer.url}/keys"}, **GATEWAY),
        "a key": issuer.token(OTHER, header={"jwk": OTHER.as_dict(private=False)}, **GATEWAY),
        "no token at all": "a.b.c",
    }

    async with a_router(world, issuer) as router:
        good = await status(router, issuer.token(**GATEWAY))
        got = {name: await status(router, token) for name, token in spoiled.items()}

    assert good == 200
    assert got == dict.fromkeys(spoiled, 401)


async def test_no_request_waits_for_the_issuer_but_one_that_brings_a_new_key_id(world: World, issuer: Issuer) -> None:
    async with a_router(world, issuer) as router:
        await eventually(lambda: issuer.asked == 1)
        for number in range(20):
            assert await status(router, issuer.token(sub=f"user-{number}", **GATEWAY)) == 200
        asked = issuer.asked
        made_up = [issuer.token(header={"kid": f"made-up-{number}"}, **GATEWAY) for number in range(30)]
        refused = await asyncio.gather(*(status(router, token) for token in made_up))
        flooded = issuer.asked

    assert asked == 1
    assert set(refused) == {401}
    assert flooded <= 2


async def test_the_last_known_keys_count_while_the_issuer_is_away(world: World, issuer: Issuer) -> None:
    async with a_router(world, issuer) as router:
        known = issuer.token(**GATEWAY)
        before = await status(router, known)
        issuer.is_away = True
        again = await status(router, known), await status(router, issuer.token(EC, sub="bob", **GATEWAY))

    assert (before, *again) == (200, 200, 200)


async def test_an_issuer_that_was_never_reached_is_no_reason_to_refuse_for_good(world: World, issuer: Issuer) -> None:
    issuer.is_away = True

    async with a_router(world, issuer) as router:
        away, problem = await router.post("/v1/route", QUESTION, token=issuer.token(**GATEWAY))
        issuer.is_away = False
        await eventually(lambda: _answers(router, issuer.token(**GATEWAY), 200))

    assert away == 503
    assert "cannot be read" in problem["detail"]


async def _answers(router: Router, token: str, wanted: int) -> bool:
    return await status(router, token) == wanted
