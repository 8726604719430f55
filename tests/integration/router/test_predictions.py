"""Predictions: the decided version answers with the inputs that it declares, or the caller learns why not."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from modelyard_events.routes import RoutableVersion, RouteChanged

from tests.integration.router.world import GRADE, INCOME, World, eventually
from tests.routing_builders import a_document, a_version, an_experiment, an_industry_version

pytestmark = pytest.mark.integration

INCOME_TENSOR = {"name": "income", "datatype": "FP32", "shape": [1, 1], "data": [52_000.0]}
GRADE_TENSOR = {"name": "grade", "datatype": "BYTES", "shape": [1, 1], "data": ["B"]}
LOAN: dict[str, Any] = {"tenant": "acme", "entity_type": "loan", "entity_id": "loan-7"}


def everyone(world: World, **endpoint: Any) -> RoutableVersion:
    return a_version("everyone", endpoint=world.models.endpoint("everyone", **endpoint))


def debt(world: World, **endpoint: Any) -> RoutableVersion:
    more = {"inputs": (INCOME, GRADE), **endpoint}
    return an_industry_version("debt", endpoint=world.models.endpoint("debt", **more))


def both(world: World, **changes: Any) -> RouteChanged:
    return a_document(everyone(world), debt(world), **changes)


async def slow() -> None:
    await asyncio.sleep(30)


def broken() -> web.Response:
    return web.Response(status=500, text="out of memory")


def nonsense() -> web.Response:
    return web.json_response({"predictions": [1]})


def not_a_number() -> web.Response:
    return web.Response(
        text='{"outputs": [{"name": "rate", "datatype": "FP32", "shape": [1], "data": [NaN]}]}',
        content_type="application/json",
    )


async def test_the_decided_version_answers_with_its_declared_inputs_only(world: World) -> None:
    await world.topics.publish(both(world))
    async with world.router() as router:
        answer = await router.predict(inputs=[INCOME_TENSOR, GRADE_TENSOR], industry="cards", unit_id="user-1")

    (fact,) = await world.topics.inferences(1)
    model, _, asked = world.models.asked[0]
    assert (model, [tensor["name"] for tensor in asked["inputs"]]) == ("everyone", ["income"])
    assert (answer["model_name"], answer["model_version"]) == ("everyone", "1")
    assert answer["outputs"][0]["data"] == [1.5]
    assert answer["parameters"]["reason"] == "global_champion"
    assert answer["parameters"]["cache"] == "bypass"
    assert (fact.outcome, fact.cache, fact.shadow) == ("served", "bypass", None)
    assert [tensor.name for tensor in fact.inputs] == ["income", "grade"]
    assert fact.inference_id == answer["parameters"]["inference_id"]


async def test_an_industry_answer_carries_the_global_model_as_its_shadow(world: World) -> None:
    await world.topics.publish(both(world))
    async with world.router() as router:
        answer = await router.predict(inputs=[INCOME_TENSOR, GRADE_TENSOR], industry="debt")

    (fact,) = await world.topics.inferences(1)
    assert answer["model_name"] == "debt"
    assert fact.shadow is not None
    assert (fact.shadow.model, fact.shadow.endpoint.inputs) == ("everyone", (INCOME,))


async def test_missing_inputs_are_listed(world: World) -> None:
    await world.topics.publish(both(world))
    async with world.router() as router:
        problem = await router.predict(inputs=[INCOME_TENSOR], industry="debt", ok=False)

    (fact,) = await world.topics.inferences(1)
    assert (problem["status"], problem["missing"]) == (422, ["grade"])
    assert (fact.outcome, fact.error) == ("failed", "inputs-missing")


async def test_features_come_from_the_source_and_what_the_caller_sends_wins(world: World) -> None:
    world.features.known["loan-7"] = {"version": 3, "features": {"income": 40_000, "grade": "C", "spare": True}}
    await world.topics.publish(both(world, feature_source=world.features.source()))
    async with world.router() as router:
        await router.predict(inputs=[GRADE_TENSOR], industry="debt", **LOAN)

    (fact,) = await world.topics.inferences(1)
    asked = {tensor["name"]: tensor["data"] for tensor in world.models.asked[0][2]["inputs"]}
    assert asked == {"income": [40_000.0], "grade": ["B"]}
    assert {tensor.name for tensor in fact.inputs} == {"income", "grade", "spare"}
    assert fact.entity_version == 3


async def test_an_entity_id_stays_one_part_of_the_sources_path(world: World) -> None:
    world.features.known["a/b?c#d"] = {"version": 1, "features": {"income": 1, "grade": "A"}}
    await world.topics.publish(both(world, feature_source=world.features.source()))
    async with world.router() as router:
        await router.predict(industry="debt", tenant="acme", entity_type="loan", entity_id="a/b?c#d")

    assert world.features.paths == ["/acme/loan/a%2Fb%3Fc%23d"]


@pytest.mark.parametrize(
    ("behave", "timeout_s", "status"),
    [
        (slow, 0.2, 504),
        (broken, 5.0, 502),
        (lambda: web.Response(text="<html>"), 5.0, 502),
        (lambda: web.json_response({"features": [1, 2]}), 5.0, 502),
        (lambda: web.json_response({"features": {"income": "much", "grade": "A"}}), 5.0, 502),
        (lambda: web.json_response({"features": {"income": None, "grade": "A"}}), 5.0, 422),
        (lambda: web.Response(status=404), 5.0, 404),
    ],
    ids=["slow", "broken", "not json", "other json", "wrong type", "value absent", "entity unknown"],
)
async def test_a_feature_source_that_fails_is_named(world: World, behave: Any, timeout_s: float, status: int) -> None:
    world.features.behave = behave
    await world.topics.publish(both(world, feature_source=world.features.source(timeout_s=timeout_s)))
    async with world.router() as router:
        problem = await router.predict(industry="debt", ok=False, **LOAN)

    (fact,) = await world.topics.inferences(1)
    assert problem["status"] == status
    assert problem["fix"]
    assert fact.outcome == "failed"
    assert world.models.asked == []


@pytest.mark.parametrize(
    ("behave", "timeout_s", "status"),
    [(slow, 0.2, 504), (broken, 5.0, 502), (nonsense, 5.0, 502), (not_a_number, 5.0, 502)],
    ids=["slow", "broken", "nonsense", "not a number"],
)
async def test_an_endpoint_that_fails_without_a_fallback_is_named(
    world: World, behave: Any, timeout_s: float, status: int
) -> None:
    world.models.behave["everyone"] = behave
    await world.topics.publish(a_document(everyone(world, timeout_s=timeout_s)))
    async with world.router() as router:
        problem = await router.predict(inputs=[INCOME_TENSOR], ok=False)

    (fact,) = await world.topics.inferences(1)
    assert problem["status"] == status
    assert "everyone/1" in problem["detail"]
    assert (fact.outcome, fact.outputs) == ("failed", ())


async def test_an_endpoint_that_is_not_there_is_named(world: World) -> None:
    await world.topics.publish(a_document(everyone(world, url="http://127.0.0.1:1/infer")))
    async with world.router() as router:
        problem = await router.predict(inputs=[INCOME_TENSOR], ok=False)

    assert problem["status"] == 502
    assert "127.0.0.1:1" in problem["detail"]


async def test_an_endpoint_outside_the_allowed_networks_is_never_asked(world: World) -> None:
    await world.topics.publish(a_document(everyone(world)))
    async with world.router(outbound_allow=()) as router:
        problem = await router.predict(inputs=[INCOME_TENSOR], ok=False)

    assert problem["status"] == 502
    assert "MODELYARD_OUTBOUND_ALLOW" in problem["detail"]
    assert world.models.asked == []


async def test_inputs_that_the_endpoint_refuses_are_an_invalid_request(world: World) -> None:
    world.models.behave["debt"] = lambda: web.Response(status=400, text="grade must be a letter")
    await world.topics.publish(both(world))
    async with world.router() as router:
        problem = await router.predict(inputs=[INCOME_TENSOR, GRADE_TENSOR], industry="debt", ok=False)

    assert problem["status"] == 422
    assert "debt/1" in problem["detail"]
    assert problem["inference_id"] in problem["detail"]


@pytest.mark.parametrize(
    ("behave", "timeout_s"), [(slow, 0.2), (broken, 5.0), (nonsense, 5.0)], ids=["slow", "broken", "nonsense"]
)
async def test_a_failing_treatment_falls_back_to_its_control(world: World, behave: Any, timeout_s: float) -> None:
    world.models.behave["debt"] = behave
    control, treatment = everyone(world), debt(world, timeout_s=timeout_s)
    experiment = an_experiment(control, treatment, treatment_bp=10_000)
    await world.topics.publish(a_document(control, treatment, experiments=(experiment,)))
    async with world.router() as router:
        answer = await router.predict(inputs=[INCOME_TENSOR, GRADE_TENSOR], unit_id="user-1")

    (fact,) = await world.topics.inferences(1)
    (exposure,) = await world.topics.exposures(1)
    assert (answer["model_name"], answer["parameters"]["reason"]) == ("everyone", "fell_back")
    assert (fact.outcome, fact.served.model, fact.variant, fact.shadow) == ("fell_back", "everyone", "treatment", None)
    assert exposure.variant == "treatment"


async def test_when_the_fallback_fails_too_both_are_named(world: World) -> None:
    world.models.behave.update({"debt": broken, "everyone": broken})
    await world.topics.publish(both(world))
    async with world.router() as router:
        problem = await router.predict(inputs=[INCOME_TENSOR, GRADE_TENSOR], industry="debt", ok=False)

    assert "debt/1" in problem["detail"]
    assert "everyone/1" in problem["fallback"]


async def test_an_endpoint_that_fails_repeatedly_is_not_asked_during_a_pause(world: World) -> None:
    world.models.behave["everyone"] = broken
    await world.topics.publish(a_document(everyone(world)))
    async with world.router(breaker_failures_max=3, breaker_pause_s=0.5) as router:
        statuses = [(await router.predict(inputs=[INCOME_TENSOR], ok=False))["status"] for _ in range(6)]
        asked_while_broken = len(world.models.asked)
        world.models.behave.clear()

        async def answers_again() -> bool:
            return (await router.post("/v1/predict", a_body()))[0] == 200

        await eventually(answers_again)

    assert statuses == [502, 502, 502, 503, 503, 503]
    assert asked_while_broken == 3


async def test_an_answer_of_another_version_is_served_but_neither_cached_nor_compared(world: World) -> None:
    def other_version() -> web.Response:
        output = {"name": "rate", "datatype": "FP32", "shape": [1, 1], "data": [9.0]}
        return web.json_response({"model_name": "debt", "model_version": "2", "outputs": [output]})

    world.models.behave["debt"] = other_version
    await world.topics.publish(both(world))
    async with world.router() as router:
        answers = [
            await router.predict(inputs=[INCOME_TENSOR, GRADE_TENSOR], industry="debt", **LOAN) for _ in range(2)
        ]

    facts = await world.topics.inferences(2)
    assert [answer["parameters"]["version_matched"] for answer in answers] == [False, False]
    assert [answer["parameters"]["cache"] for answer in answers] == ["miss", "miss"]
    assert [(fact.version_matched, fact.shadow) for fact in facts] == [(False, None)] * 2


async def test_a_connection_that_breaks_once_is_tried_again(world: World) -> None:
    server, port = await a_server_that_hangs_up_once()
    await world.topics.publish(a_document(everyone(world, url=f"http://127.0.0.1:{port}/infer")))
    async with world.router() as router:
        answer = await router.predict(inputs=[INCOME_TENSOR])
    server.close()
    await server.wait_closed()

    assert answer["outputs"][0]["data"] == [7.0]


async def test_a_fact_that_would_be_too_large_leaves_its_tensors_out(world: World) -> None:
    rows = 93_000
    large = {"name": "income", "datatype": "FP32", "shape": [rows, 1], "data": [52_000.125] * rows}
    await world.topics.publish(a_document(everyone(world)))
    async with world.router() as router:
        await router.predict(inputs=[large], unit_id="user-1")
        await router.predict(inputs=[INCOME_TENSOR], unit_id="user-1")

    facts = await world.topics.inferences(2)
    assert [len(fact.inputs) for fact in facts] == [0, 1]


async def test_each_request_has_one_fact_and_the_sequence_has_no_gap(world: World) -> None:
    await world.topics.publish(both(world))
    async with world.router() as router, asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(router.predict(inputs=[INCOME_TENSOR], industry="cards", unit_id=f"user-{number}"))

    facts = await world.topics.facts()
    assert sorted(envelope.sequence or 0 for envelope, _ in facts) == list(range(1, 51))
    assert len(await world.topics.inferences(50)) == 50


def a_body() -> dict[str, Any]:
    return {"inputs": [INCOME_TENSOR], "parameters": {"model_type": "risk-scoring"}}


async def a_server_that_hangs_up_once() -> tuple[asyncio.Server, int]:
    """A model server that closes the first connection without an answer."""
    connections = 0
    body = b'{"outputs":[{"name":"rate","datatype":"FP32","shape":[1,1],"data":[7.0]}]}'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        if connections > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, int(server.sockets[0].getsockname()[1])
