"""What one tenant or project does to an endpoint or a feature source takes neither away from another."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.integration.router.world import GRADE, INCOME, World, eventually
from tests.routing_builders import a_document, a_version

pytestmark = pytest.mark.integration

TENSOR: dict[str, Any] = {"name": "income", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}
BAD: dict[str, Any] = {**TENSOR, "data": [-1.0]}


def a_body(tensor: dict[str, Any] = TENSOR, **attributes: Any) -> dict[str, Any]:
    return {"inputs": [tensor], "parameters": {"model_type": "risk-scoring", **attributes}}


def breaks_on_bad_inputs(world: World, status: int) -> Any:
    def behave() -> web.Response | None:
        is_bad = world.models.asked[-1][2]["inputs"][0]["data"] == [-1.0]
        return web.Response(status=status, text="a secret of the model server") if is_bad else None

    return behave


async def _nothing_after(released: asyncio.Event) -> None:
    await released.wait()


@pytest.mark.parametrize("tenants", [1, 20])
async def test_a_tenant_that_breaks_the_endpoint_pauses_it_for_no_other_tenant(world: World, tenants: int) -> None:
    world.models.behave["everyone"] = breaks_on_bad_inputs(world, 500)
    await world.topics.publish(a_document(a_version("everyone", endpoint=world.models.endpoint("everyone"))))
    async with world.router() as router:
        victim: list[int] = []
        for number in range(60):
            attacker = f"attacker-{number % tenants}"
            await router.post("/v1/predict", a_body(BAD, tenant=attacker))
            if number % 5 == 4:
                victim.append((await router.post("/v1/predict", a_body(tenant="victim")))[0])
        attacked, problem = await router.post("/v1/predict", a_body(BAD, tenant="attacker-0"))

    assert victim == [200] * 12
    assert (attacked, problem["fix"][:9]) in ((503, "Try again"), (502, "Look into"))


@pytest.mark.parametrize("status", [400, 404, 409, 413, 415, 422])
async def test_what_an_endpoint_says_of_a_request_is_no_failure_of_the_endpoint(world: World, status: int) -> None:
    world.models.behave["everyone"] = breaks_on_bad_inputs(world, status)
    await world.topics.publish(a_document(a_version("everyone", endpoint=world.models.endpoint("everyone"))))
    async with world.router() as router:
        refused = [await router.post("/v1/predict", a_body(BAD, tenant="acme")) for _ in range(8)]
        served, _ = await router.post("/v1/predict", a_body(tenant="acme"))

    assert {got for got, _ in refused} == {502 if status == 404 else 422}
    assert served == 200
    assert all("secret" not in str(problem) for _, problem in refused)


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_entities_that_a_feature_source_refuses_are_no_failures_of_the_source(world: World, status: int) -> None:
    world.features.known["good"] = {"version": 1, "features": {"income": 1, "grade": "A"}}
    known = world.features.known

    def behave() -> web.Response | None:
        is_known = world.features.paths[-1].rpartition("/")[2] in known
        return None if is_known else web.Response(status=status)

    world.features.behave = behave
    version = a_version("everyone", endpoint=world.models.endpoint("everyone", inputs=(INCOME, GRADE)))
    await world.topics.publish(a_document(version, feature_source=world.features.source()))
    attributes = {"model_type": "risk-scoring", "tenant": "acme", "entity_type": "loan"}
    async with world.router() as router:
        refused = [
            (await router.post("/v1/predict", {"parameters": {**attributes, "entity_id": f"bad-{number}"}}))[0]
            for number in range(8)
        ]
        served, _ = await router.post("/v1/predict", {"parameters": {**attributes, "entity_id": "good"}})

    assert set(refused) == {404 if status == 404 else 422}
    assert served == 200


async def test_slow_predictions_of_one_project_leave_places_for_every_other(world: World) -> None:
    released = asyncio.Event()
    world.models.behave["slow"] = lambda: _nothing_after(released)
    slow = a_version("slow", endpoint=world.models.endpoint("slow", timeout_s=60))
    await world.topics.publish(a_document(slow, project="beta"))
    await world.topics.publish(a_document(a_version("everyone", endpoint=world.models.endpoint("everyone"))))
    many = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    async with many, world.router() as router, asyncio.TaskGroup() as group:
        router.session = many
        flood = [group.create_task(router.post("/v1/predict", a_body(project="beta"))) for _ in range(530)]
        await eventually(lambda: any(each.done() for each in flood))
        served = [(await router.post("/v1/predict", a_body()))[0] for _ in range(8)]
        released.set()

    statuses = [each.result()[0] for each in flood]
    shed = next(each.result()[1] for each in flood if each.result()[0] == 503)
    assert served == [200] * 8
    assert set(statuses) == {200, 503}
    assert "beta" in shed["detail"]


async def test_an_endpoint_that_answers_too_much_is_502(world: World) -> None:
    world.models.behave["everyone"] = lambda: web.Response(body=b" " * 1_100_000, content_type="application/json")
    await world.topics.publish(a_document(a_version("everyone", endpoint=world.models.endpoint("everyone"))))
    async with world.router() as router:
        status, problem = await router.post("/v1/predict", a_body())

    assert status == 502
    assert "1048576 bytes" in problem["detail"]


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ({"version": "3", "features": {}}, ['`version` is "3"']),
        ({"version": True, "features": {}}, ["`version` is true"]),
        ({"features": [1]}, ["`features` is a list of 1 elements"]),
        ({"fetures": {}}, ["`features` is not there"]),
        ([1], ["a list of 1 elements"]),
        ({"features": {"income": {"a": 1}, "grade": "A"}}, ["income", "an object"]),
        ({"features": {"x" * 300: 1}}, ["xxx…"]),
    ],
)
async def test_a_feature_source_that_breaks_its_contract_is_told_what_came(
    world: World, document: Any, names: list[str]
) -> None:
    world.features.behave = lambda: web.json_response(document)
    version = a_version("everyone", endpoint=world.models.endpoint("everyone", inputs=(INCOME, GRADE)))
    await world.topics.publish(a_document(version, feature_source=world.features.source()))
    async with world.router() as router:
        problem = await router.predict(tenant="acme", entity_type="loan", entity_id="1", ok=False)

    assert problem["status"] == 502
    assert [name for name in names if name not in problem["detail"]] == []


async def test_request_id_and_trace_go_to_the_endpoint_and_to_the_feature_source(world: World) -> None:
    seen: list[Any] = []

    async def infer(request: web.Request) -> web.Response:
        seen.append(request.headers)
        output = {"name": "rate", "datatype": "FP32", "shape": [1], "data": [1.5]}
        return web.json_response({"outputs": [output]})

    world.models.intercept = infer
    await world.topics.publish(a_document(a_version("everyone", endpoint=world.models.endpoint("everyone"))))
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with world.router() as router:
        headers = {"authorization": "Bearer a-token-of-the-test", "x-request-id": "r-1", "traceparent": trace}
        async with router.session.post(f"{router.url}/v1/predict", json=a_body(), headers=headers) as answer:
            status = answer.status

    assert status == 200
    assert (seen[0]["x-request-id"], seen[0]["traceparent"]) == ("r-1", trace)
