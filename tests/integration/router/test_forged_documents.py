"""Whoever can write to the state topics and is not the registry changes nothing: not now, not after a restart."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from modelyard_events.access import ApiTokenChanged, RolesGranted
from modelyard_events.codec import Record, encode
from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.routes import RouteChanged
from modelyard_events.topics import ACCESS, ROUTES, Topic
from modelyard_runtime.access.principals import hash_of
from modelyard_runtime.access.tokens import new_token

from tests.integration.router.world import Router, World, eventually
from tests.routing_builders import a_document, a_version
from tests.world.state_signing import REGISTRY, SOMEBODY

pytestmark = pytest.mark.integration

ROUTE_KEY = "default/risk-scoring"
QUESTION = {"model_type": "risk-scoring"}


def a_route(revision: int, *, number: int) -> RouteChanged:
    """The routing document in which version `number` is the champion."""
    return a_document(a_version("m", number), revision=revision)


def a_record(event: Event, *, key: str, sequence: int, generation: int = 1) -> Record:
    """A document as the registry would write it, not signed yet."""
    envelope = Envelope(
        id=f"{key}-{generation}-{sequence}",
        source="/modelyard/registry",
        type=event.type,
        subject=key,
        occurred_at=datetime.now(UTC),
        sequence=sequence,
        generation=generation,
    )
    return encode(event, envelope)


def a_token(token: str, *, revoked: bool = False) -> ApiTokenChanged:
    """A token of an admin everywhere."""
    return ApiTokenChanged(
        token_id="t-1",
        token_hash=f"sha256:{hash_of(token).hex()}",
        actor="mallory",
        project="*",
        roles=("admin",),
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        revoked=revoked,
    )


async def write(world: World, topic: Topic, record: Record) -> None:
    """Write a record to a topic as anyone does who can reach the broker."""
    await world.topics.producer.send_and_wait(
        f"{world.topics.prefix}{topic.name}", key=record.key, value=record.value, headers=list(record.headers)
    )


async def settled(world: World, router: Router) -> None:
    """Wait until the router has read both topics up to now, shown by a signed document behind everything else."""
    for number in range(ROUTES.partitions * 4):
        document = a_document(model_type=f"marker-{number}")
        await write(
            world,
            ROUTES,
            REGISTRY.sign(a_record(document, key=f"default/marker-{number}", sequence=1)),
        )
    grant = RolesGranted(actor="marker", project="default", roles=("viewer",))
    await write(world, ACCESS, REGISTRY.sign(a_record(grant, key="grant/default/marker", sequence=1)))

    async def has_all() -> bool:
        _, answer = await router.get("/v1/routes")
        _, ready = await router.get("/readyz")
        details = " ".join(each["detail"] for each in ready["checks"])
        return len(answer["routes"]) >= ROUTES.partitions * 4 and "1 grants" in details

    await eventually(has_all)


async def is_degraded(router: Router) -> bool:
    """Whether the router does its job and says that a person should look."""
    status, document = await router.get("/readyz")
    assert status == 200, document
    return bool(document["degraded"])


FORGERIES = ["unsigned", "signed with a key of the forger's own", "signed by the registry, then changed"]


def forged(record: Record, *, how: str) -> Record:
    """The record, with such a proof as somebody can make who has not got the registry's key."""
    if how == "unsigned":
        return record
    if how == "signed with a key of the forger's own":
        return SOMEBODY.sign(record)
    return replace(REGISTRY.sign(replace(record, value=b"{}")), value=record.value)


@pytest.mark.parametrize("how", FORGERIES)
async def test_a_forged_token_is_refused(world: World, how: str) -> None:
    token = new_token()
    await world.topics.publish(a_route(1, number=1))
    async with world.router() as router:
        await write(world, ACCESS, forged(a_record(a_token(token), key="token/t-1", sequence=1_000), how=how))
        await settled(world, router)

        assert (await router.post("/v1/route", QUESTION, token=token))[0] == 401
        assert await is_degraded(router)
    async with world.router() as again:
        assert (await again.post("/v1/route", QUESTION, token=token))[0] == 401
        assert await is_degraded(again), "its last record is still the forged one"


@pytest.mark.parametrize("how", FORGERIES)
async def test_a_forged_route_with_a_high_sequence_is_ignored(world: World, how: str) -> None:
    await world.topics.publish(a_route(1, number=1))
    async with world.router() as router:
        await write(world, ROUTES, forged(a_record(a_route(1_001, number=9), key=ROUTE_KEY, sequence=1_001), how=how))
        await settled(world, router)
        assert (await router.route())["number"] == 1
        assert await is_degraded(router)

        await world.topics.publish(a_route(2, number=2))

        await eventually(lambda: serves(router, 2))
    async with world.router() as again:
        assert (await again.route())["number"] == 2
        assert not await is_degraded(again), "the registry has covered the forged record"


async def test_a_forged_revocation_revokes_no_token(world: World) -> None:
    token = new_token()
    await world.topics.publish(a_route(1, number=1))
    await write(world, ACCESS, REGISTRY.sign(a_record(a_token(token), key="token/t-1", sequence=1)))
    async with world.router() as router:
        assert (await router.post("/v1/route", QUESTION, token=token))[0] == 200

        await write(world, ACCESS, a_record(a_token(token, revoked=True), key="token/t-1", sequence=2))
        await settled(world, router)

        assert (await router.post("/v1/route", QUESTION, token=token))[0] == 200


async def test_a_signature_of_another_document_is_refused(world: World) -> None:
    await world.topics.publish(a_route(1, number=1))
    genuine = REGISTRY.sign(a_record(a_route(1, number=1), key=ROUTE_KEY, sequence=1))
    later = tuple((name, b"1001" if name == "ce_sequence" else value) for name, value in genuine.headers)
    async with world.router() as router:
        await write(world, ROUTES, replace(genuine, headers=later))
        await write(world, ROUTES, replace(genuine, key=b"default/other"))
        await write(world, ROUTES, replace(genuine, headers=(*genuine.headers, ("ce_sequence", b"1001"))))
        await settled(world, router)

        _, answer = await router.get("/v1/routes")
        assert {each["sequence"] for each in answer["routes"]} == {1}
        assert (await router.route())["number"] == 1
        assert await is_degraded(router)


async def test_both_keys_count_while_keys_are_rotated_and_afterwards_only_the_new_one(world: World) -> None:
    old, new = REGISTRY, SOMEBODY
    await write(world, ROUTES, old.sign(a_record(a_route(1, number=1), key=ROUTE_KEY, sequence=1)))
    async with world.router(state_keys=(old.public_key, new.public_key)) as router:
        assert (await router.route())["number"] == 1
        await write(world, ROUTES, new.sign(a_record(a_route(2, number=2), key=ROUTE_KEY, sequence=2)))
        await eventually(lambda: serves(router, 2))
        assert not await is_degraded(router)

    async with world.router(state_keys=(new.public_key,)) as router:
        assert (await router.route())["number"] == 2
        assert not await is_degraded(router), "the document that the old key signed is not the last one"


async def serves(router: Router, number: int) -> bool:
    """Whether callers get this version."""
    return int((await router.route())["number"]) == number
