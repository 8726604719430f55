"""Every request has a name, in its answer, in its logs and in what is asked because of it; each leaves a log line."""

import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
from fastapi import APIRouter, Request
from modelyard_runtime.health import Health, operations
from modelyard_runtime.http.access_log import AccessLog
from modelyard_runtime.http.request_ids import add_request_names, current_request, outgoing_headers
from modelyard_runtime.problems import ConflictError, install_problems
from modelyard_runtime.service_app import ServiceApp
from structlog.testing import capture_logs

from tests.serving import serving

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class TakenError(ConflictError):
    """It is taken."""

    code = "taken"


def an_app(*, enabled: bool = True, sample: float = 1.0) -> ServiceApp:
    ids = (f"made-up-{number}" for number in itertools.count(1))
    clock = (float(second) for second in itertools.count())
    app = ServiceApp(
        new_id=lambda: next(ids), access_log=AccessLog(enabled=enabled, sample=sample, seconds=lambda: next(clock))
    )
    install_problems(app)
    app.include_router(operations(Health()))
    things = APIRouter(prefix="/projects/{project}")

    @things.get("/things/{name}")
    async def thing(project: str, name: str, request: Request) -> dict[str, Any]:
        return {"asks_others_with": dict(outgoing_headers()), "header": request.headers["x-request-id"]}

    @things.get("/taken")
    async def taken(project: str) -> None:
        raise TakenError("Somebody has it.", fix="Choose another.")

    @things.get("/broken")
    async def broken(project: str) -> None:
        raise RuntimeError("a bug")

    app.include_router(things)
    return app


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(an_app()) as url, aiohttp.ClientSession(url) as session:
        yield session


async def get(
    http: aiohttp.ClientSession, path: str, headers: Mapping[str, str] | list[tuple[str, str]] | None = None
) -> tuple[int, str, Any]:
    async with http.get(path, headers=headers) as answer:
        body = await answer.json() if "json" in answer.content_type else None
        return answer.status, answer.headers["x-request-id"], body


async def test_a_callers_request_id_is_answered_and_passed_on_with_its_trace(http: aiohttp.ClientSession) -> None:
    sent = {"x-request-id": "Root=1-67/a:b+c==", "traceparent": TRACEPARENT, "tracestate": "vendor=1"}

    status, request_id, body = await get(http, "/projects/p/things/t", sent)

    assert (status, request_id) == (200, "Root=1-67/a:b+c==")
    assert body["asks_others_with"] == sent


async def test_a_request_without_an_id_gets_one_that_everything_behind_sees(http: aiohttp.ClientSession) -> None:
    _, request_id, body = await get(http, "/projects/p/things/t")
    _, another, _ = await get(http, "/projects/p/things/t")

    passed_on = body["asks_others_with"]
    assert (request_id, another) == ("made-up-1", "made-up-2")
    assert body["header"] == passed_on["x-request-id"] == request_id
    assert passed_on["traceparent"].startswith("00-")
    assert len(passed_on["traceparent"]) == len(TRACEPARENT)


@pytest.mark.parametrize(
    "invalid",
    [
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        "x" * 10_000,
    ],
)
async def test_an_invalid_traceparent_is_replaced_as_the_standard_says(
    http: aiohttp.ClientSession, invalid: str
) -> None:
    status, _, body = await get(http, "/projects/p/things/t", {"traceparent": invalid, "tracestate": "vendor=1"})

    assert status == 200
    assert body["asks_others_with"]["traceparent"] != invalid
    assert "tracestate" not in body["asks_others_with"]


@pytest.mark.parametrize("invalid", ["", "with blank", "ü", "x" * 201])
async def test_an_id_that_cannot_name_a_request_is_refused_with_what_came(
    http: aiohttp.ClientSession, invalid: str
) -> None:
    status, request_id, body = await get(http, "/projects/p/things/t", {"x-request-id": invalid})

    assert (status, request_id) == (422, "made-up-1")
    assert body["errors"][0]["location"] == "header.x-request-id"
    assert "1 to 200" in body["detail"]
    assert len(body["detail"]) < 300


async def test_two_ids_are_not_chosen_among(http: aiohttp.ClientSession) -> None:
    status, _, body = await get(http, "/projects/p/things/t", [("x-request-id", "a"), ("x-request-id", "b")])

    assert status == 422
    assert "twice" in body["detail"]


@pytest.mark.parametrize(("path", "status"), [("/projects/p/taken", 409), ("/projects/p/broken", 500), ("/none", 404)])
async def test_errors_name_their_request_too(http: aiohttp.ClientSession, path: str, status: int) -> None:
    answered, request_id, _ = await get(http, path, {"x-request-id": "mine"})

    assert (answered, request_id) == (status, "mine")


async def test_each_request_leaves_a_line_with_its_route_and_its_end(http: aiohttp.ClientSession) -> None:
    with capture_logs(processors=[add_request_names]) as lines:
        await get(http, "/projects/p/things/t", {"x-request-id": "mine"})
        await get(http, "/projects/p/taken")
        await get(http, "/" + "x" * 1_000)

    first, refused, unknown = [line for line in lines if line["event"] == "request_answered"]
    assert first["path"] == "/projects/{project}/things/{name}"
    assert (first["method"], first["status"], first["request_id"]) == ("GET", 200, "mine")
    assert first["seconds"] == 1.0
    assert first["trace_id"]
    assert (refused["path"], refused["status"]) == ("/projects/{project}/taken", 409)
    assert (unknown["path"], unknown["status"]) == ("/" + "x" * 199, 404)


async def test_probes_are_logged_for_debugging_only(http: aiohttp.ClientSession) -> None:
    with capture_logs() as lines:
        await get(http, "/healthz")

    assert [line["log_level"] for line in lines if line["event"] == "request_answered"] == ["debug"]


async def test_a_sampled_log_has_its_share_of_successes_and_every_failure() -> None:
    async with serving(an_app(sample=0.25)) as url, aiohttp.ClientSession(url) as http:
        with capture_logs() as lines:
            for _ in range(20):
                await get(http, "/projects/p/things/t")
                await get(http, "/projects/p/taken")

    statuses = [line["status"] for line in lines if line["event"] == "request_answered"]
    assert (statuses.count(200), statuses.count(409)) == (5, 20)


async def test_an_access_log_that_is_off_says_nothing() -> None:
    async with serving(an_app(enabled=False)) as url, aiohttp.ClientSession(url) as http:
        with capture_logs() as lines:
            await get(http, "/projects/p/taken")

    assert [line for line in lines if line["event"] == "request_answered"] == []


def test_outside_of_a_request_there_is_nothing_to_pass_on() -> None:
    assert current_request() is None
    assert outgoing_headers() == {}
