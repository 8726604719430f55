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


NEVER_LISTENS = "http://127.0.0.1:1/v2/models/risk/infer"
REFUSED = (409, "/problems/endpoint-does-not-answer")


async def two_champions(asking: Door, server: Server) -> tuple[int, int]:
    """Two versions that were champion one after the other; both answer at the server."""
    await asking.create()
    numbers = []
    for _ in range(2):
        numbers.append(await staged(asking, server.url))
        (await asking.move(numbers[-1], "production")).expect(200)
    server.asked.clear()
    return numbers[0], numbers[1]


async def last_entry(asking: Door, action: str) -> Document:
    return [entry for entry in await asking.audit() if entry["action"] == action][-1]


async def test_a_rollback_asks_the_version_that_it_restores(asking: Door, server: Server) -> None:
    first, second = await two_champions(asking, server)

    rolled_back = await asking.roll_back(second)

    entry = await last_entry(asking, "model_version.rolled_back")
    assert rolled_back.expect(200)["restored"] == first
    assert [path for path, _ in server.asked] == ["/v2/models/risk/infer"]
    assert entry["after"] == {"champion": first, "endpoint_answers": "It answered 200 to zeros for its 2 inputs."}


async def test_a_rollback_to_a_silent_version_needs_a_reason_which_is_kept(asking: Door, server: Server) -> None:
    first, second = await two_champions(asking, server)
    server.how = "failing"

    refused = await asking.roll_back(second, reason="errs")
    without_words = await asking.roll_back(second, skip_probe_reason="")
    assert await asking.champion() == second
    server.asked.clear()
    forced = await asking.roll_back(second, skip_probe_reason="the network to the cluster is down")

    entry = await last_entry(asking, "model_version.rolled_back")
    assert (refused.status, refused.document["type"]) == REFUSED
    assert "skip_probe_reason" in refused.document["fix"]
    assert SECRET.encode() not in refused.body
    assert without_words.status == 422
    assert forced.expect(200)["restored"] == first
    assert server.asked == []
    assert entry["after"] == {"champion": first, "skip_probe_reason": "the network to the cluster is down"}


async def test_a_policy_waives_it_for_rollbacks_and_changes_of_endpoints(asking: Door, server: Server) -> None:
    first, second = await two_champions(asking, server)
    (await asking.call("PUT", "/policies", {"probe": False})).expect(200)
    path = f"{versions()}/{second}/deployments/production"

    (await asking.call("PUT", path, {"url": NEVER_LISTENS})).expect(200)

    server.how = "failing"
    assert (await asking.roll_back(second)).expect(200)["restored"] == first
    assert server.asked == []


async def test_the_new_endpoint_of_a_served_version_is_asked(asking: Door, server: Server) -> None:
    _, number = await two_champions(asking, server)
    path = f"{versions()}/{number}/deployments/production"
    async with a_server() as other:
        elsewhere = {"url": other.url, "inputs": INPUTS}
        other.how = "failing"
        refused = await asking.call("PUT", path, elsewhere)
        before = (await asking.call("GET", path)).expect(200)
        other.how = "well"
        moved = await asking.call("PUT", path, elsewhere)
        asked = len(other.asked)
        same = await asking.call("PUT", path, elsewhere)

    entry = await last_entry(asking, "deployment.recorded")
    assert (refused.status, refused.document["type"]) == REFUSED
    assert before["endpoint"]["url"] == server.url
    assert moved.expect(200)["endpoint"]["url"] == other.url
    assert entry["after"]["endpoint_answers"] == "It answered 200 to zeros for its 2 inputs."
    assert same.document == moved.document
    assert len(other.asked) == asked, "what is recorded already is not asked again"


async def test_a_silent_endpoint_of_a_served_version_is_recorded_with_a_reason(asking: Door, server: Server) -> None:
    _, number = await two_champions(asking, server)
    body = {"url": NEVER_LISTENS, "inputs": INPUTS, "skip_probe_reason": "it starts when traffic comes"}

    (await asking.call("PUT", f"{versions()}/{number}/deployments/production", body)).expect(200)

    assert (await last_entry(asking, "deployment.recorded"))["after"]["skip_probe_reason"] == body["skip_probe_reason"]


async def test_an_endpoint_without_traffic_is_not_asked(asking: Door) -> None:
    await asking.create()
    number = int((await asking.register())["number"])

    for environment in ("production", "staging"):
        path = f"{versions()}/{number}/deployments/{environment}"
        (await asking.call("PUT", path, {"url": NEVER_LISTENS})).expect(200)


async def test_the_endpoint_that_others_agreed_to_is_asked_when_it_is_recorded(asking: Door, server: Server) -> None:
    _, number = await two_champions(asking, server)
    guarded = Guarded(door=asking)
    await guarded.demand(1)
    path = f"{versions()}/{number}/deployments/production/requests"
    async with a_server() as other:
        wanted = {"url": other.url, "inputs": INPUTS}
        other.how = "failing"
        not_asked_for = await asking.call("POST", path, wanted)
        other.how = "well"
        request_id = (await asking.call("POST", path, wanted)).expect(201)["request_id"]
        other.how = "failing"
        refused = await guarded.say("approve", request_id, actor="cem")
        other.how = "well"
        agreed = await guarded.say("approve", request_id, actor="cem")

    assert [(each.status, each.document["type"]) for each in (not_asked_for, refused)] == [REFUSED] * 2
    assert (agreed.status, agreed.document["state"]) == (200, "applied")


async def test_people_see_that_a_requested_endpoint_is_not_asked_and_why(asking: Door, server: Server) -> None:
    _, number = await two_champions(asking, server)
    guarded = Guarded(door=asking)
    await guarded.demand(1)
    wanted = {"url": NEVER_LISTENS, "inputs": INPUTS, "skip_probe_reason": "it starts when traffic comes"}
    path = f"{versions()}/{number}/deployments/production/requests"

    request = (await asking.call("POST", path, wanted)).expect(201)
    agreed = await guarded.say("approve", request["request_id"], actor="cem")

    assert request["deployment"]["skip_probe_reason"] == wanted["skip_probe_reason"]
    assert (agreed.status, agreed.document["state"]) == (200, "applied")
    entry = await last_entry(asking, "deployment.recorded")
    assert entry["after"]["skip_probe_reason"] == wanted["skip_probe_reason"]
