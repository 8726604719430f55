"""The router's state is the routes topic: complete before ready, newest wins, nothing stops it."""

import time

import pytest
from modelyard_events.codec import Record
from modelyard_events.routes import RouteChanged

from tests.integration.router.world import World, eventually
from tests.routing_builders import a_document, a_version, an_experiment, an_industry_version
from tests.world.state_signing import REGISTRY

pytestmark = pytest.mark.integration

NOWHERE = "127.0.0.1:1"


def a_revision(number: int) -> RouteChanged:
    return a_document(a_version("everyone", number), revision=number)


async def test_a_router_knows_every_route_once_it_is_ready(world: World) -> None:
    for number in range(1, 30):
        await world.topics.publish(a_document(a_version("everyone"), model_type=f"type-{number}", revision=1))

    async with world.router() as router:
        _, answer = await router.get("/v1/routes")

    assert len(answer["routes"]) == 29
    assert answer["age_s"] < 60


async def test_a_router_with_an_empty_topic_is_ready_and_has_no_route(world: World) -> None:
    async with world.router() as router:
        status, problem = await router.post("/v1/route", {"model_type": "risk-scoring"})

    assert (status, problem["code"]) == (404, "no_route")


async def test_a_promotion_is_served_as_soon_as_its_document_is_there(world: World) -> None:
    await world.topics.publish(a_revision(1))
    async with world.router() as router:
        assert (await router.route())["number"] == 1
        started_s = time.monotonic()
        await world.topics.publish(a_revision(2))

        async def is_served() -> bool:
            return bool((await router.route())["number"] == 2)

        await eventually(is_served)

    assert time.monotonic() - started_s < 5


async def test_a_late_document_is_ignored_and_a_new_generation_wins(world: World) -> None:
    await world.topics.publish(a_revision(5))
    async with world.router() as router:
        await world.topics.publish(a_revision(4))
        await world.topics.publish(a_revision(2), generation=2)

        async def has_new_generation() -> bool:
            return await router.revision() == 2

        await eventually(has_new_generation)
        await world.topics.publish(a_revision(9), generation=1)
        await world.topics.publish(a_document(model_type="marker"))

        async def has_marker() -> bool:
            return len((await router.get("/v1/routes"))[1]["routes"]) == 2

        await eventually(has_marker)
        assert (await router.route())["number"] == 2


async def test_poison_and_tombstones_are_ignored(world: World) -> None:
    await world.topics.publish(a_revision(1))
    await world.topics.send(REGISTRY.sign(Record(key=b"default/risk-scoring", value=None, headers=())))
    await world.topics.send(REGISTRY.sign(Record(key=b"x", value=b"{not json", headers=(("ce_type", None),))))
    await world.topics.send(REGISTRY.sign(Record(key=b"x", value=b"\xff\xfe", headers=())))
    async with world.router() as router:
        assert (await router.route())["number"] == 1
        await world.topics.publish(a_revision(2))

        async def is_served() -> bool:
            return await router.revision() == 2

        await eventually(is_served)


async def test_a_restarted_router_has_the_same_state(world: World) -> None:
    await world.topics.publish(a_revision(1))
    await world.topics.publish(a_revision(2))
    async with world.router() as router:
        before = (await router.get("/v1/routes"))[1]["routes"]
    async with world.router() as router:
        after = (await router.get("/v1/routes"))[1]["routes"]

    assert after == before
    assert RouteChanged.model_validate(after[0]["document"]) == a_revision(2)


async def test_a_fresh_router_without_kafka_is_not_ready_and_says_so(world: World) -> None:
    async with world.starting_router(kafka_bootstrap=NOWHERE, shutdown_grace_s=1.0) as router:
        ready, report = await router.get("/readyz")
        status, problem = await router.post("/v1/route", {"model_type": "risk-scoring"})
        predicted, _ = await router.post("/v1/predict", {"parameters": {"model_type": "risk-scoring"}})

    assert (ready, status, predicted) == (503, 503, 503)
    assert report["checks"][0]["name"] == "routes"
    assert problem["fix"]


async def test_an_experiment_shares_units_out_and_records_their_exposures(world: World) -> None:
    control, treatment = a_version("everyone"), an_industry_version("debt")
    experiment = an_experiment(control, treatment, treatment_bp=5_000)
    await world.topics.publish(a_document(control, treatment, experiments=(experiment,)))

    async with world.router() as router:
        answers = [await router.route(tenant="acme", unit_id=f"user-{number}") for number in range(40)]
        again = await router.route(tenant="acme", unit_id="user-0")
        without = await router.route(tenant="acme")

    exposures = await world.topics.exposures(41)
    assert {answer["receipt"]["variant"] for answer in answers} == {"control", "treatment"}
    assert again["receipt"]["variant"] == answers[0]["receipt"]["variant"]
    assert (without["receipt"]["reason"], without["receipt"]["variant"]) == ("no_unit", None)
    assert len(exposures) == 41
    assert [exposure.variant for exposure in exposures[:40]] == [answer["receipt"]["variant"] for answer in answers]
    assert {exposure.unit_hash for exposure in exposures} == {answer["receipt"]["unit_hash"] for answer in answers}
    assert not any("user-" in exposure.model_dump_json() for exposure in exposures)


async def test_facts_have_a_gapless_sequence_and_are_published_before_the_router_stops(world: World) -> None:
    version = a_version("everyone")
    await world.topics.publish(a_document(version, experiments=(an_experiment(version, a_version("everyone")),)))

    async with world.router() as router:
        for number in range(100):
            await router.route(unit_id=f"user-{number}")

    facts = await world.topics.facts()
    assert [envelope.sequence for envelope, _ in facts] == list(range(1, 101))
    assert len({envelope.source for envelope, _ in facts}) == 1
    assert len({envelope.id for envelope, _ in facts}) == 100
