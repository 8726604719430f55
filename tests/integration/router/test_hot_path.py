"""The hot path: tokens, methods, sizes and malformed bodies, each answered by a problem that names the fix."""

import json
from typing import Any

import pytest
from modelyard_router.openapi import PredictionAnswer, RouteAnswer, RoutesInForce
from yarl import URL

from tests.integration.router.world import TOKEN, World
from tests.routing_builders import a_document, a_version, an_experiment

pytestmark = pytest.mark.integration

TENSOR: dict[str, Any] = {"name": "income", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}


@pytest.mark.parametrize(
    ("path", "raw", "status", "names"),
    [
        ("/v1/route", b"{", 400, "JSON"),
        ("/v1/route", b'{"model_type": 7}', 422, "model_type"),
        ("/v1/route", b'{"model": "everyone", "version": 9}', 409, "everyone 9"),
        ("/v1/route", b'{"model": "everyone", "alias": "nobody"}', 404, "nobody"),
        ("/v1/route", b'{"model_type": "risk-scoring", "project": "another"}', 404, "another"),
        ("/v1/predict", b"[", 400, "JSON"),
        ("/v1/predict", b'{"inputs": [1], "parameters": {"model_type": "risk-scoring"}}', 422, "inputs.0"),
    ],
)
async def test_a_request_that_cannot_be_answered_gets_a_problem(
    world: World, path: str, raw: bytes, status: int, names: str
) -> None:
    await world.topics.publish(a_document(a_version("everyone")))
    async with world.router() as router:
        got, problem = await router.post(path, None, raw=raw)

    assert got == status == problem["status"]
    assert names in problem["detail"]
    assert problem["fix"]


@pytest.mark.parametrize("path", ["/v1/route", "/v1/predict"])
async def test_without_a_known_token_there_is_no_answer(world: World, path: str) -> None:
    async with world.router() as router:
        without = await router.post(path, {}, token=None)
        unknown = await router.post(path, {}, token="another")
        dump, _ = await router.get("/v1/routes", token=None)

    assert (without[0], unknown[0], dump) == (401, 401, 401)
    assert "Authorization" in without[1]["fix"]


async def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(world: World) -> None:
    async with world.starting_router(body_bytes_max=1_000) as router:
        honest, problem = await router.post("/v1/route", None, raw=b" " * 1_001)

        async def chunks() -> Any:
            for _ in range(11):
                yield b" " * 100

        async with router.session.post(
            f"{router.url}/v1/route", data=chunks(), headers={"authorization": f"Bearer {TOKEN}"}
        ) as answer:
            chunked = answer.status

    assert (honest, chunked) == (413, 413)
    assert "1000 bytes" in problem["detail"]


async def test_another_method_is_told_which_one_to_use(world: World) -> None:
    async with world.starting_router() as router:
        status, problem = await router.get("/v1/route")

    assert status == 405
    assert problem["fix"].startswith('Send a POST with a JSON object as its body, such as {"model_type"')


async def test_a_slash_too_many_is_told_the_right_address_and_never_where_the_host_header_says(world: World) -> None:
    headers = {"host": "evil.example", "authorization": f"Bearer {TOKEN}"}
    async with world.starting_router() as router:
        for path in ("/v1/route/", "/v1/predict/", "/healthz/", "/v1/routes/", "/docs/", "//evil.example/"):
            async with router.session.post(
                f"{router.url}{path}", headers=headers, data=b"{}", allow_redirects=False
            ) as answer:
                said = await answer.text()
            assert answer.status in (404, 405)
            assert "evil.example" not in str(answer.headers)
            assert path.startswith("//") or path.rstrip("/") in said


@pytest.mark.parametrize("path", ["/v1%2froute", "/v1%2Froute", "/%76%31%2froute"])
async def test_an_encoded_slash_is_not_found(world: World, path: str) -> None:
    async with (
        world.starting_router() as router,
        router.session.post(URL(f"{router.url}{path}", encoded=True), data=b"{}") as answer,
    ):
        assert answer.status == 404


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ([("content-encoding", "gzip")], 415, "without compressing"),
        ([("authorization", "Bearer another")], 401, "one Authorization header"),
        ([("content-type", "text/plain")], 200, ""),
        ([("content-encoding", "identity")], 200, ""),
    ],
)
async def test_a_header_is_accepted_or_refused_with_a_fix(
    world: World, headers: list[tuple[str, str]], status: int, words: str
) -> None:
    await world.topics.publish(a_document(a_version("everyone")))
    sent = [("authorization", f"Bearer {TOKEN}"), *headers]
    async with (
        world.router() as router,
        router.session.post(f"{router.url}/v1/route", headers=sent, data=b'{"model_type": "risk-scoring"}') as answer,
    ):
        assert answer.status == status
        assert words in (await answer.json()).get("fix", "")


async def test_answers_are_as_the_openapi_document_says(world: World) -> None:
    version = a_version("everyone", endpoint=world.models.endpoint("everyone"))
    await world.topics.publish(a_document(version, experiments=(an_experiment(version, version),)))
    async with world.router() as router:
        routed = await router.route(unit_id="user-1")
        predicted = await router.predict(inputs=[TENSOR], unit_id="user-1")
        _, dump = await router.get("/v1/routes")
        _, document = await router.get("/openapi.json")

    assert RouteAnswer.model_validate(routed).model_dump(mode="json") == routed
    assert PredictionAnswer.model_validate(predicted).model_dump(mode="json") == predicted
    assert RoutesInForce.model_validate(dump).routes[0].project == "default"
    for path in ("/v1/route", "/v1/predict"):
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["example"]
        assert operation["responses"]["200"]["content"]["application/json"]["example"]
        for name in _references(operation):
            assert name in document["components"]["schemas"]


async def test_the_age_of_the_routes_is_in_every_answer(world: World) -> None:
    await world.topics.publish(a_document(a_version("everyone")))
    async with (
        world.router() as router,
        router.session.post(
            f"{router.url}/v1/route",
            data=json.dumps({"model_type": "risk-scoring"}),
            headers={"authorization": f"Bearer {TOKEN}"},
        ) as answer,
    ):
        age = answer.headers["x-modelyard-route-age"]

    assert int(age) < 60


async def test_a_full_queue_drops_facts_and_counts_them_and_callers_never_wait(world: World) -> None:
    version = a_version("everyone")
    await world.topics.publish(a_document(version, experiments=(an_experiment(version, version),)))
    async with world.router(fact_queue_max=1) as router:
        for number in range(100):
            await router.route(unit_id=f"user-{number}")
        _, report = await router.get("/readyz")

    facts = await world.topics.facts()
    (queue,) = [check for check in report["checks"] if check["name"].startswith("facts")]
    dropped = int(queue["detail"].split(", ")[1].split()[0])
    sequences = [envelope.sequence or 0 for envelope, _ in facts]
    assert queue["ok"]
    assert dropped > 0
    assert len(facts) == 100 - dropped
    assert sequences == sorted(set(sequences))


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [str(value["$ref"]).rpartition("/")[2]] if "$ref" in value else []
        return own + [name for member in value.values() for name in _references(member)]
    return []
