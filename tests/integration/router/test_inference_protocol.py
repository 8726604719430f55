"""The inference protocol at both ends of the router: what is asked for is passed on, contradictions are refused."""

from typing import Any

import pytest
from aiohttp import web
from modelyard_events.routes import RoutableVersion

from tests.integration.router.world import GRADE, INCOME, World
from tests.routing_builders import a_document, a_version, an_experiment, an_industry_version

pytestmark = pytest.mark.integration

TENSOR: dict[str, Any] = {"name": "income", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}
GRADE_TENSOR: dict[str, Any] = {"name": "grade", "datatype": "BYTES", "shape": [1, 1], "data": ["B"]}
LOAN: dict[str, Any] = {"tenant": "acme", "entity_type": "loan", "entity_id": "loan-7"}
QUESTION: dict[str, Any] = {"model_type": "risk-scoring"}


def everyone(world: World, **endpoint: Any) -> RoutableVersion:
    return a_version("everyone", endpoint=world.models.endpoint("everyone", **endpoint))


def two_outputs() -> web.Response:
    outputs = [
        {"name": name, "datatype": "FP32", "shape": [1], "data": [1.5], "parameters": {"unit": name}}
        for name in ("rate", "risk")
    ]
    return web.json_response({"outputs": outputs})


def deep(levels: int) -> web.Response:
    data = "[" * levels + "1.0" + "]" * levels
    return web.Response(
        text=f'{{"outputs":[{{"name":"rate","datatype":"FP32","shape":[1],"data":{data}}}]}}',
        content_type="application/json",
    )


async def test_parameters_and_requested_outputs_reach_the_endpoint_and_come_back(world: World) -> None:
    world.models.behave["everyone"] = two_outputs
    await world.topics.publish(a_document(everyone(world)))
    body = {
        "inputs": [{**TENSOR, "parameters": {"content_type": "np"}}],
        "outputs": [{"name": "risk", "parameters": {"classification": 1}}],
        "parameters": QUESTION,
    }
    async with world.router() as router:
        status, answer = await router.post("/v1/predict", body)

    asked = world.models.asked[0][2]
    (fact,) = await world.topics.inferences(1)
    assert status == 200
    assert asked["inputs"][0]["parameters"] == {"content_type": "np"}
    assert asked["outputs"] == [{"name": "risk", "parameters": {"classification": 1}}]
    assert [(output["name"], output["parameters"]) for output in answer["outputs"]] == [("risk", {"unit": "risk"})]
    assert [output.name for output in fact.requested_outputs] == ["risk"]


async def test_a_cached_answer_is_of_the_very_outputs_and_parameters_that_are_asked_for(world: World) -> None:
    world.models.behave["everyone"] = two_outputs
    await world.topics.publish(a_document(everyone(world)))
    bodies: list[dict[str, Any]] = [
        {"inputs": [TENSOR]},
        {"inputs": [TENSOR], "outputs": [{"name": "risk"}]},
        {"inputs": [TENSOR], "outputs": [{"name": "risk", "parameters": {"classification": 1}}]},
        {"inputs": [{**TENSOR, "parameters": {"content_type": "np"}}]},
    ]
    async with world.router() as router:
        answers = [
            [(await router.post("/v1/predict", {**body, "parameters": {**QUESTION, **LOAN}}))[1] for body in bodies]
            for _ in range(2)
        ]

    assert [answer["parameters"]["cache"] for answer in answers[0]] == ["miss"] * 4
    assert [answer["parameters"]["cache"] for answer in answers[1]] == ["hit"] * 4
    assert [len(answer["outputs"]) for answer in answers[1]] == [2, 1, 1, 2]


async def test_an_output_that_the_endpoint_does_not_answer_is_an_invalid_request(world: World) -> None:
    world.models.behave["everyone"] = two_outputs
    await world.topics.publish(a_document(everyone(world)))
    async with world.router() as router:
        status, problem = await router.post(
            "/v1/predict", {"inputs": [TENSOR], "outputs": [{"name": "rsk"}], "parameters": QUESTION}
        )

    assert status == 422
    assert "rsk" in problem["detail"]
    assert "rate, risk" in problem["fix"]


@pytest.mark.parametrize(
    ("tensor", "names"),
    [
        ({**TENSOR, "datatype": "FP64"}, ["income", "FP64", "FP32"]),
        ({**TENSOR, "data": ["13"]}, ["income", '"13"', "FP32"]),
        ({**TENSOR, "name": "incom"}, ["incom"]),
        ({**TENSOR, "shape": [1], "data": [[[[1.0]]]]}, ["income", "a list"]),
    ],
)
async def test_an_input_that_is_not_what_was_declared_never_reaches_the_endpoint(
    world: World, tensor: dict[str, Any], names: list[str]
) -> None:
    await world.topics.publish(a_document(everyone(world)))
    async with world.router() as router:
        problem = await router.predict(inputs=[tensor], ok=False)

    assert problem["status"] == 422
    assert [name for name in names if name not in problem["detail"]] == []
    assert world.models.asked == []


async def test_an_undeclared_input_is_passed_on_where_the_endpoint_declares_none(world: World) -> None:
    await world.topics.publish(a_document(everyone(world, inputs=())))
    async with world.router() as router:
        await router.predict(inputs=[TENSOR, {**GRADE_TENSOR, "name": "colour"}])

    assert [tensor["name"] for tensor in world.models.asked[0][2]["inputs"]] == ["income", "colour"]


@pytest.mark.parametrize("levels", [33, 252, 300, 1_000])
async def test_data_that_are_nested_deeply_are_refused_with_422(world: World, levels: int) -> None:
    await world.topics.publish(a_document(everyone(world)))
    raw = b'{"inputs":[{"name":"income","datatype":"FP32","shape":[1],"data":%b1.0%b}],"parameters":%b}' % (
        b"[" * levels,
        b"]" * levels,
        b'{"model_type":"risk-scoring"}',
    )
    async with world.router() as router:
        status, problem = await router.post("/v1/predict", None, raw=raw)

    assert status == 422
    assert "income" in problem["detail"]


@pytest.mark.parametrize("levels", [33, 300, 1_000])
async def test_an_endpoint_that_answers_deeply_nested_data_is_502_and_falls_back(world: World, levels: int) -> None:
    world.models.behave["debt"] = lambda: deep(levels)
    control = everyone(world)
    treatment = an_industry_version("debt", endpoint=world.models.endpoint("debt", inputs=(INCOME, GRADE)))
    experiment = an_experiment(control, treatment, treatment_bp=10_000)
    await world.topics.publish(a_document(control, treatment, experiments=(experiment,)))
    async with world.router() as router:
        answer = await router.predict(inputs=[TENSOR, GRADE_TENSOR], unit_id="user-1")

    (fact,) = await world.topics.inferences(1)
    assert answer["parameters"]["reason"] == "fell_back"
    assert (fact.outcome, fact.error) == ("fell_back", "endpoint-invalid-response")


@pytest.mark.parametrize("path", ["/v1/route", "/v1/predict"])
@pytest.mark.parametrize(
    "raw",
    [
        b'{"model_type":"risk-scoring","model_type":"another"}',
        b'{"inputs":[],"parameters":{"model_type":"risk-scoring","tenant":"a","tenant":"b"}}',
        b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1],"data":[2]}],"parameters":{}}',
    ],
)
async def test_a_member_twice_is_refused_at_every_depth(world: World, path: str, raw: bytes) -> None:
    async with world.router() as router:
        status, problem = await router.post(path, None, raw=raw)

    assert status == 422
    assert "twice" in problem["detail"]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({}, "no_entity"),
        ({"entity_type": "loan", "entity_id": "loan-7"}, "no_tenant"),
        (LOAN, None),
    ],
)
async def test_a_prediction_past_the_cache_says_why(world: World, attributes: dict[str, Any], reason: str) -> None:
    await world.topics.publish(a_document(everyone(world)))
    async with world.router() as router:
        answer = await router.predict(inputs=[TENSOR], **attributes)

    assert answer["parameters"]["cache_reason"] == reason
