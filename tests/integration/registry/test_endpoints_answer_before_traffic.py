"""A version goes to canary or production only when its endpoint answers, unless policy waives it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from tests.integration.registry.approvals_world import Guarded
from tests.integration.registry.door import Document, Door, open_door, versions

pytestmark = pytest.mark.integration

INPUTS = [{"name": "income", "datatype": "FP64"}, {"name": "grade", "datatype": "BYTES"}]
SECRET = "a stack trace with a password"


@dataclass(slots=True)
class Server:
    """A model server; `how` says how it answers, `asked` what it was asked."""

    url: str = ""
    how: str = "well"
    asked: list[tuple[str, Any]] = field(default_factory=list)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def infer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, await request.json()))
        self.was_asked.set()
        match self.how:
            case "failing":
                return web.json_response({"error": SECRET}, status=500)
            case "missing":
                return web.json_response({"error": SECRET}, status=404)
            case "nonsense":
                return web.Response(text=SECRET)
            case "slow":
                await asyncio.sleep(5)
        return web.json_response({"model_name": "risk", "outputs": []})

    async def ready(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, None))
        return web.json_response({"ready": self.how == "well"}, status=200 if self.how == "well" else 503)


@asynccontextmanager
async def a_server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_post("/v2/models/{name}/infer", server.infer)
    app.router.add_get("/v2/models/{name}/ready", server.ready)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v2/models/risk/infer"
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with a_server() as started:
        yield started


@pytest.fixture
async def asking(registry_database: str, door: Door) -> AsyncIterator[Door]:
    """A registry that asks endpoints before it lets versions go on, with a version in staging."""
    opened = open_door(registry_database, door.artifacts, migrate_first=False, clock=door.clock, probes_endpoints=True)
    async with opened as other:
        yield Door(
            http=other.http,
            database=other.database,
            artifacts=other.artifacts,
            clock=other.clock,
            project=door.project,
        )


async def staged(door: Door, url: str, **facts: object) -> int:
    number = int((await door.register())["number"])
    (await door.move(number, "staging")).expect(200)
    document = {"url": url, "inputs": INPUTS, "timeout_s": 0.5, **facts}
    (await door.call("PUT", f"{versions()}/{number}/deployments/production", document)).expect(200)
    return number


def verdict_in(document: Document) -> Document:
    [verdict] = [each for each in document["verdicts"] if each["gate"] == "endpoint_answers"]
    return dict(verdict)


@pytest.mark.parametrize("to_stage", ["canary", "production"])
async def test_a_version_goes_on_when_its_endpoint_answers_to_zeros(
    asking: Door, server: Server, to_stage: str
) -> None:
    await asking.create()
    number = await staged(asking, server.url)

    moved = await asking.move(number, to_stage)

    [path, body] = server.asked[0]
    [move, _] = (await asking.call("GET", f"{versions()}/{number}/transitions")).expect(200)["items"]
    assert (moved.status, moved.document["stage"]) == (200, to_stage)
    assert path == "/v2/models/risk/infer"
    assert body["inputs"] == [
        {"name": "income", "shape": [1, 1], "datatype": "FP64", "data": [0.0]},
        {"name": "grade", "shape": [1, 1], "datatype": "BYTES", "data": [""]},
    ]
    assert (verdict_in(move)["passed"], verdict_in(move)["evidence"]["status"]) == (True, 200)


@pytest.mark.parametrize("how", ["failing", "missing", "nonsense", "slow", "gone"])
async def test_a_version_whose_endpoint_answers_nothing_sensible_stays_where_it_is(
    asking: Door, server: Server, how: str
) -> None:
    await asking.create()
    server.how = how
    # Nothing ever listens on port 1 of this machine.
    number = await staged(asking, "http://127.0.0.1:1/v2/models/risk/infer" if how == "gone" else server.url)

    refused = await asking.move(number, "production")

    assert (refused.status, refused.document["type"]) == (409, "/problems/gates-failed")
    assert verdict_in(refused.document)["passed"] is False
    assert "endpoint_answers" in refused.document["fix"]
    assert "`probe: false`" in refused.document["fix"]
    assert SECRET.encode() not in refused.body
    assert await asking.stage_of(number) == "staging"


@pytest.mark.parametrize(("how", "status"), [("well", 200), ("failing", 409)])
async def test_without_declared_inputs_the_model_is_asked_whether_it_is_ready(
    asking: Door, server: Server, how: str, status: int
) -> None:
    await asking.create()
    server.how = how
    number = await staged(asking, server.url, inputs=[])

    moved = await asking.move(number, "canary")

    assert moved.status == status
    assert server.asked == [("/v2/models/risk/ready", None)]


@pytest.mark.parametrize("whose", ["", "/registered-models/risk"])
async def test_a_policy_of_the_project_or_the_model_waives_it(asking: Door, whose: str) -> None:
    await asking.create()
    number = await staged(asking, "http://127.0.0.1:1/infer")
    path = f"{whose}/policy" if whose else "/policies"
    (await asking.call("PUT", path, {"probe": False})).expect(200)

    assert (await asking.move(number, "production")).status == 200


async def test_a_dry_run_shows_what_the_endpoint_says(asking: Door, server: Server) -> None:
    await asking.create()
    server.how = "failing"
    number = await staged(asking, server.url)

    preview = await asking.call("POST", f"{versions()}/{number}/transitions/dry-run", {"to_stage": "production"})

    verdict = verdict_in(preview.expect(200))
    assert (preview.document["allowed"], verdict["passed"], verdict["evidence"]["status"]) == (False, False, 500)


async def test_the_endpoint_is_asked_again_when_what_others_agreed_to_is_done(asking: Door, server: Server) -> None:
    await asking.create()
    guarded = Guarded(door=asking)
    await guarded.demand(1)
    number = await staged(asking, server.url)
    request_id = await guarded.asked(number)
    server.how = "failing"

    refused = await guarded.say("approve", request_id, actor="cem")
    server.how = "well"
    agreed = await guarded.say("approve", request_id, actor="cem")

    assert (refused.status, refused.document["type"]) == (409, "/problems/gates-failed")
    assert (agreed.status, agreed.document["state"]) == (200, "applied")


async def test_the_apis_of_other_registries_ask_the_endpoint_too(asking: Door, server: Server) -> None:
    await asking.create()
    server.how = "failing"
    number = await staged(asking, server.url)
    version_id = (await asking.call("GET", f"{versions()}/{number}")).expect(200)["version_id"]
    path = f"/api/v1/registry/models/versions/{version_id}/transition"

    refused = await asking.http.call(
        "POST", path, {"stage": "production", "comment": "it errs less"}, query={"project_id": asking.project}
    )
    server.how = "well"
    moved = await asking.http.call(
        "POST", path, {"stage": "production", "comment": "it errs less"}, query={"project_id": asking.project}
    )

    assert (refused.status, moved.status) == (409, 200)


async def test_whoever_changes_the_endpoint_while_it_is_asked_gains_nothing(asking: Door, server: Server) -> None:
    await asking.create()
    server.how = "slow"
    number = await staged(asking, server.url, timeout_s=8)
    moving = asyncio.ensure_future(asking.move(number, "production"))
    await asyncio.wait_for(server.was_asked.wait(), timeout=10)

    elsewhere = {"url": "http://127.0.0.1:1/infer", "inputs": INPUTS}
    (await asking.call("PUT", f"{versions()}/{number}/deployments/production", elsewhere)).expect(200)
    refused = await moving

    assert (refused.status, refused.document["type"]) == (409, "/problems/gates-failed")
    assert "changed while it was asked" in refused.document["fix"]
