"""A model server serves exactly the versions that may serve, from exactly the approved bytes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from modelyard_examples.fitting import FittedModel, run_onnx, tensors_of
from modelyard_examples.loans import LoanData
from modelyard_examples.model_follower import ModelFollower
from modelyard_examples.model_server import build_app
from modelyard_examples.registry_client import RegistryClient

from tests.serving import serving
from tests.unit.examples.fake_registry import TOKEN, FakeRegistry
from tests.unit.examples.waiting import until

GRACE_S = 60.0
REQUEST_BYTES_MAX = 20_000
MODEL = "risk-scoring"


@dataclass(slots=True)
class Served:
    """A registry, the server that follows it, and the clock that the server goes by."""

    registry: FakeRegistry
    follower: ModelFollower
    http: aiohttp.ClientSession
    url: str
    now_s: float = 0.0

    async def ask(self, path: str, *, document: object = None) -> tuple[int, Any]:
        method = "GET" if document is None else "POST"
        async with self.http.request(method, self.url + path, json=document) as answer:
            return answer.status, await answer.json()

    async def infer(self, number: int, document: object) -> tuple[int, Any]:
        return await self.ask(f"/v2/models/{MODEL}/versions/{number}/infer", document=document)


@asynccontextmanager
async def a_server(registry: FakeRegistry) -> AsyncIterator[Served]:
    async with serving(registry.app()) as registry_url, RegistryClient(registry_url, token=TOKEN) as client:
        follower = ModelFollower(registry=client, now=lambda: running.now_s, grace_s=GRACE_S)
        async with (
            serving(build_app(follower, request_bytes_max=REQUEST_BYTES_MAX)) as url,
            aiohttp.ClientSession() as http,
        ):
            running = Served(registry=registry, follower=follower, http=http, url=url)
            yield running


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with a_server(FakeRegistry()) as running:
        yield running


@pytest.fixture
def request_of_two(loan_data: LoanData, global_model: FittedModel) -> dict[str, Any]:
    """An inference request about two held-out loans for the global model."""
    loans = loan_data.held_out.head(2)
    inputs = [
        {"name": field.name, "datatype": field.datatype, "shape": [2, 1], "data": loans[field.name].tolist()}
        for field in global_model.recipe.fields
    ]
    return {"id": "request-1", "inputs": inputs}


def add(registry: FakeRegistry, model: FittedModel, *, stage: str = "staging") -> dict[str, Any]:
    return registry.add_version(MODEL, digest=model.digest, artifact=model.artifact, stage=stage)


async def test_a_version_answers_with_the_models_own_figures(
    served: Served, global_model: FittedModel, loan_data: LoanData, request_of_two: dict[str, Any]
) -> None:
    add(served.registry, global_model)
    await served.follower.follow_once()

    status, answer = await served.infer(1, request_of_two)

    inputs = tensors_of(loan_data.held_out.head(2), recipe=global_model.recipe)
    expected = run_onnx(global_model.artifact, inputs=inputs)
    assert status == 200
    assert {key: answer[key] for key in ("id", "model_name", "model_version", "parameters")} == {
        "id": "request-1",
        "model_name": MODEL,
        "model_version": "1",
        "parameters": {"digest": global_model.digest},
    }
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("interest_rate", "FP32", [2, 1])
    assert output["data"] == pytest.approx(expected.tolist())


async def test_only_versions_that_may_get_traffic_are_loaded(served: Served, global_model: FittedModel) -> None:
    stages = ("development", "staging", "canary", "production", "deprecated", "archived")
    for stage in stages:
        add(served.registry, global_model, stage=stage)

    await served.follower.follow_once()

    assert {number for _, number in served.follower.models} == {2, 3, 4}


async def test_bytes_that_do_not_match_the_digest_are_refused_and_logged(
    served: Served, global_model: FittedModel, caplog: pytest.LogCaptureFixture
) -> None:
    tampered = global_model.artifact[:-1] + bytes([global_model.artifact[-1] ^ 1])
    served.registry.add_version(MODEL, digest=global_model.digest, artifact=tampered)
    served.registry.add_version("no-model", digest="sha256:" + "0" * 64, artifact=b"nothing")

    with caplog.at_level(logging.ERROR):
        await served.follower.follow_once()

    assert served.follower.models == {}
    assert (await served.ask(f"/v2/models/{MODEL}/versions/1/ready"))[0] == 404
    assert f"model_refused model={MODEL} version=1" in caplog.text
    assert global_model.digest in caplog.text


async def test_a_refused_version_does_not_keep_the_others_from_serving_and_is_tried_again_later(
    served: Served, global_model: FittedModel
) -> None:
    served.registry.add_version(MODEL, digest=global_model.digest, artifact=b"cut off")
    other = "sha256:" + "0" * 64
    served.registry.add_version("other", digest=other, artifact=b"junk")
    await served.follower.follow_once()
    await served.follower.follow_once()
    tried = list(served.registry.downloads)

    served.registry.artifacts[global_model.digest] = global_model.artifact
    served.now_s += 10
    await served.follower.follow_once()

    assert tried == [f"{MODEL}:1", "other:1"]
    assert list(served.follower.models) == [(MODEL, 1)]


async def test_a_new_version_joins_while_the_old_one_goes_on_answering(
    served: Served, global_model: FittedModel, request_of_two: dict[str, Any]
) -> None:
    add(served.registry, global_model, stage="production")
    await served.follower.follow_once()
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(served.follower.run())
        served.registry.download_may_end = asyncio.Event()
        add(served.registry, global_model)
        await until(lambda: served.registry.downloads == [f"{MODEL}:1", f"{MODEL}:2"])
        while_loading = await served.infer(1, request_of_two)
        served.registry.download_may_end.set()
        await until(lambda: (MODEL, 2) in served.follower.models)
        afterwards = [await served.infer(number, request_of_two) for number in (1, 2)]
        following.cancel()

    assert [status for status, _ in (while_loading, *afterwards)] == [200, 200, 200]


async def test_a_version_out_of_service_stays_for_a_grace_period(served: Served, global_model: FittedModel) -> None:
    version = add(served.registry, global_model, stage="production")
    await served.follower.follow_once()
    version["stage"] = "deprecated"

    await served.follower.follow_once()
    served.now_s += GRACE_S - 1
    await served.follower.follow_once()
    still_there = (MODEL, 1) in served.follower.models
    served.now_s += 1
    await served.follower.follow_once()

    assert still_there
    assert served.follower.models == {}


async def test_a_version_that_returns_within_the_grace_period_is_never_unloaded(
    served: Served, global_model: FittedModel
) -> None:
    version = add(served.registry, global_model, stage="production")
    for stage in ("deprecated", "production", "deprecated"):
        version["stage"] = stage
        served.now_s += GRACE_S - 1
        await served.follower.follow_once()

    assert (MODEL, 1) in served.follower.models


async def test_everything_goes_on_while_the_registry_is_down(
    served: Served, global_model: FittedModel, request_of_two: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    add(served.registry, global_model, stage="production")
    caplog.set_level(logging.INFO)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(served.follower.run())
        await until(lambda: served.follower.has_followed)
        served.registry.is_down = True
        await until(lambda: "registry_unreachable serving=1" in caplog.text)
        served.now_s += 10 * GRACE_S
        status, _ = await served.infer(1, request_of_two)
        served.registry.is_down = False
        await until(lambda: "registry_reached_again" in caplog.text)
        following.cancel()

    assert status == 200
    assert (MODEL, 1) in served.follower.models


async def test_the_server_is_ready_only_after_it_has_seen_the_registry(served: Served) -> None:
    before = await served.ask("/v2/health/ready")

    await served.follower.follow_once()

    assert before == (503, {"ready": False})
    assert await served.ask("/v2/health/ready") == (200, {"ready": True})
    assert await served.ask("/v2/health/live") == (200, {"live": True})


async def test_the_metadata_says_what_a_version_wants_and_from_which_bytes_it_answers(
    served: Served, global_model: FittedModel
) -> None:
    add(served.registry, global_model)
    add(served.registry, global_model)
    await served.follower.follow_once()

    status, metadata = await served.ask(f"/v2/models/{MODEL}/versions/2")

    assert status == 200
    assert metadata["versions"] == ["1", "2"]
    assert metadata["parameters"] == {"digest": global_model.digest}
    assert metadata["inputs"] == [
        {"name": field.name, "datatype": field.datatype, "shape": [-1, 1]} for field in global_model.recipe.fields
    ]


async def test_bad_requests_are_answered_with_what_is_wrong(
    served: Served, global_model: FittedModel, request_of_two: dict[str, Any]
) -> None:
    add(served.registry, global_model)
    await served.follower.follow_once()
    without_term = {"inputs": [each for each in request_of_two["inputs"] if each["name"] != "term"]}

    missing = await served.infer(1, without_term)
    unknown = await served.infer(7, request_of_two)
    no_number = await served.ask(f"/v2/models/{MODEL}/versions/latest/ready")
    too_large = await served.infer(1, {"padding": "x" * REQUEST_BYTES_MAX})

    assert missing == (400, {"error": "input 'term' is missing; missing in all: term"})
    assert unknown == (404, {"error": f"version 7 of {MODEL} is not loaded here"})
    assert (no_number[0], too_large[0]) == (400, 413)
    assert "error" in no_number[1]
