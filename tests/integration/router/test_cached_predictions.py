"""The prediction cache as callers see it: quick when it knows, never stale, never missed when it is away."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from modelyard_events.routes import RouteChanged
from modelyard_prediction_cache import Entity, PredictionCache, connect, random_nonce

from tests.integration.router.world import GRADE, INCOME, Router, World, eventually
from tests.routing_builders import a_document, a_version, an_industry_version

pytestmark = pytest.mark.integration

LOAN: dict[str, Any] = {"tenant": "acme", "entity_type": "loan", "entity_id": "loan-7"}
ENTITY = Entity(tenant="acme", entity_type="loan", entity_id="loan-7")
NOWHERE = "redis://127.0.0.1:1/0"


def a_route(world: World, *, number: int = 1, revision: int = 1, **changes: Any) -> RouteChanged:
    version = a_version("everyone", number, endpoint=world.models.endpoint("everyone", number))
    industry = an_industry_version("debt", endpoint=world.models.endpoint("debt", inputs=(INCOME, GRADE)))
    values = {"feature_source": world.features.source(), **changes}
    return a_document(version, industry, revision=revision, **values)


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[PredictionCache]:
    """The cache as the invalidator has it."""
    async with connect(redis_url, timeout_s=5.0) as redis:
        yield PredictionCache(redis, new_nonce=random_nonce, timeout_s=5.0, hold_off_s=0.05)


def income(amount: float) -> dict[str, Any]:
    return {"name": "income", "datatype": "FP32", "shape": [1, 1], "data": [amount]}


def caches(*answers: dict[str, Any]) -> list[str]:
    return [answer["parameters"]["cache"] for answer in answers]


async def test_a_second_request_is_answered_from_the_cache_and_its_fact_tells_as_much(world: World) -> None:
    world.features.known["loan-7"] = {"version": 1, "features": {"income": 5, "grade": "A"}}
    await world.topics.publish(a_route(world))
    async with world.router() as router:
        first = await router.predict(industry="debt", **LOAN)
        second = await router.predict(industry="debt", **LOAN)

    miss, hit = await world.topics.inferences(2)
    assert caches(first, second) == ["miss", "hit"]
    assert second["outputs"] == first["outputs"]
    assert (len(world.models.asked), len(world.features.paths)) == (1, 1)
    assert (miss.cache, hit.cache) == ("miss", "hit")
    assert hit.inputs == miss.inputs
    assert hit.shadow == miss.shadow
    assert hit.shadow is not None
    assert hit.entity_version == 1


async def test_other_inputs_tenants_entities_and_versions_never_share_an_answer(world: World) -> None:
    await world.topics.publish(a_route(world))
    async with world.router() as router:
        answers = [
            await router.predict(inputs=[income(1)], **LOAN),
            await router.predict(inputs=[income(2)], **LOAN),
            await router.predict(inputs=[income(1)], **{**LOAN, "tenant": "other"}),
            await router.predict(inputs=[income(1)], **{**LOAN, "entity_id": "loan-8"}),
            await router.predict(inputs=[income(1)], **LOAN),
        ]

    assert caches(*answers) == ["miss", "miss", "miss", "miss", "hit"]


async def test_a_request_without_entity_or_tenant_is_not_cached(world: World) -> None:
    await world.topics.publish(a_route(world))
    async with world.router() as router:
        answers = [
            await router.predict(inputs=[income(1)], tenant="acme"),
            await router.predict(inputs=[income(1)], entity_type="loan", entity_id="loan-7"),
        ]

    assert caches(*answers) == ["bypass", "bypass"]


async def test_a_promotion_makes_the_old_versions_answers_unreachable_at_once(world: World) -> None:
    await world.topics.publish(a_route(world))
    async with world.router() as router:
        await router.predict(inputs=[income(1)], **LOAN)
        await world.topics.publish(a_route(world, number=2, revision=2))

        async def has_new_route() -> bool:
            return await router.revision() == 2

        await eventually(has_new_route)
        answer = await router.predict(inputs=[income(1)], **LOAN)

    assert (answer["model_version"], answer["parameters"]["cache"]) == ("2", "miss")


async def test_features_are_shared_by_versions_until_the_entity_changes(world: World, cache: PredictionCache) -> None:
    world.features.known["loan-7"] = {"version": 1, "features": {"income": 5, "grade": "A"}}
    await world.topics.publish(a_route(world))
    async with world.router() as router:
        await router.predict(industry="debt", **LOAN)
        await router.predict(industry="cards", **LOAN)
        fetched_before = len(world.features.paths)
        world.features.known["loan-7"] = {"version": 2, "features": {"income": 6, "grade": "A"}}
        await cache.purge(ENTITY)
        await eventually(lambda: _is_filled(router))

    assert fetched_before == 1
    assert [tensor["data"] for tensor in world.models.asked[-1][2]["inputs"]] == [[6.0], ["A"]]


async def test_an_answer_made_before_a_purge_is_never_cached_after_it(world: World, cache: PredictionCache) -> None:
    """The endpoint answers only after the entity was purged: that answer is served, and forgotten."""
    world.features.known["loan-7"] = {"version": 1, "features": {"income": 5, "grade": "A"}}
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        is_asked.set()
        await may_answer.wait()

    world.models.behave["debt"] = wait
    await world.topics.publish(a_route(world))
    async with world.router() as router:
        racing = asyncio.create_task(router.predict(industry="debt", **LOAN))
        async with asyncio.timeout(30):
            await is_asked.wait()
        world.features.known["loan-7"] = {"version": 2, "features": {"income": 6, "grade": "A"}}
        await cache.purge(ENTITY, version=2, source="/loan-book")
        may_answer.set()
        await racing
        after = await router.predict(industry="debt", **LOAN)

    assert after["parameters"]["cache"] != "hit"
    assert world.models.asked[-1][2]["inputs"][0]["data"] == [6.0]


async def test_a_cache_that_is_away_fails_no_request(world: World) -> None:
    await world.topics.publish(a_route(world))
    async with world.router(redis_url=NOWHERE) as router:
        answers = [await router.predict(inputs=[income(1)], **LOAN) for _ in range(10)]

    assert caches(*answers) == ["bypass"] * 10


async def test_a_cache_that_hangs_delays_requests_by_its_timeout_and_then_not_at_all(world: World) -> None:
    connections = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    await world.topics.publish(a_route(world))
    async with world.router(
        redis_url=url, cache_timeout_s=0.05, breaker_failures_max=3, breaker_pause_s=60.0
    ) as router:
        answers = [await router.predict(inputs=[income(1)], **LOAN) for _ in range(10)]
    server.close()
    await server.wait_closed()

    assert caches(*answers) == ["bypass"] * 10
    assert connections <= 3


async def _is_filled(router: Router) -> bool:
    """Whether the cache takes answers again: within the hold-off after a purge it may not."""
    return caches(await router.predict(industry="debt", **LOAN)) == ["hit"]
