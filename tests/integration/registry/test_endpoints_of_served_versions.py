"""The endpoint of a version in canary or production is part of what was approved: how it moves, over HTTP."""

import asyncio
from dataclasses import replace

import pytest

from tests.integration.registry.approvals_world import Guarded
from tests.integration.registry.door import ENDPOINT, Document, Door, versions
from tests.integration.registry.test_access_tokens import a_holder
from tests.world.http_client import Reply

pytestmark = pytest.mark.integration

MOVED = {"url": f"{ENDPOINT}/moved", "health": "healthy"}
PRODUCTION = "deployments/production"


@pytest.fixture
async def guarded(door: Door) -> Guarded:
    """Version 1 of `risk` is champion; from now on moves to production need one approval."""
    await door.create()
    await door.promote()
    guarded = Guarded(door=door)
    await guarded.demand(1)
    return guarded


async def put(door: Door, document: Document = MOVED, *, number: int = 1, etag: str = "*") -> Reply:
    return await door.call("PUT", f"{versions()}/{number}/{PRODUCTION}", document, headers={"If-Match": etag})


async def ask(guarded: Guarded, document: Document = MOVED, *, number: int = 1, actor: str = "ann") -> Reply:
    path = f"{versions()}/{number}/{PRODUCTION}/requests"
    return await guarded.by(actor).call("POST", path, document)


async def routed_url(door: Door) -> str:
    """Where the newest routing document sends requests."""
    [version] = (await door.facts("routes.v1"))[-1]["event"]["versions"]
    return str(version["endpoint"]["url"])


async def test_where_a_champion_answers_does_not_change_without_the_approval_that_it_needed(guarded: Guarded) -> None:
    facts, url = await guarded.door.facts(), await routed_url(guarded.door)

    refused = await put(guarded.door)

    assert (refused.status, refused.document["type"]) == (409, "/problems/endpoint-approval-required")
    assert refused.document["fix"].endswith(f"{versions()}/1/{PRODUCTION}/requests.")
    assert refused.document["approvals"] == {"count": 1, "role": "approver"}
    assert (await guarded.door.facts(), await routed_url(guarded.door)) == (facts, url)
    assert (await guarded.door.actions())[-1] == "deployment.recorded.refused"


async def test_the_endpoint_moves_with_its_route_once_others_agree(guarded: Guarded) -> None:
    before = await routed_url(guarded.door)
    asked = (await ask(guarded, {**MOVED, "reason": "new cluster"})).expect(201)
    waiting = await routed_url(guarded.door)

    own = await guarded.say("approve", asked["request_id"], actor="ann")
    applied = (await guarded.say("approve", asked["request_id"], actor="cem")).expect(200)

    recorded = [fact["event"] for fact in await guarded.door.facts() if fact["type"] == "deployment.recorded.v1"][-1]
    entry = next(each for each in reversed(await guarded.door.audit()) if each["action"] == "deployment.recorded")
    assert (asked["from_stage"], asked["to_stage"], asked["deployment"]["endpoint"]["url"]) == (
        "production",
        "production",
        MOVED["url"],
    )
    assert (own.status, own.document["type"]) == (403, "/problems/self-approval")
    assert (waiting, applied["state"], await routed_url(guarded.door)) == (before, "applied", MOVED["url"])
    assert (recorded["request_id"], recorded["approved_by"]) == (asked["request_id"], ["cem"])
    assert (entry["before"]["endpoint"]["url"], entry["after"]["endpoint"]["url"]) == (before, MOVED["url"])
    assert (entry["after"]["requested_by"], entry["after"]["approvals"][0]["actor"]) == ("ann", "cem")
    assert await guarded.door.champion() == 1
    assert len((await guarded.door.call("GET", f"{versions()}/1/transitions")).expect(200)["items"]) == 2


async def test_health_and_other_environments_need_nobody_and_a_version_in_staging_neither(guarded: Guarded) -> None:
    staged = await guarded.staged()

    unhealthy = await guarded.door.deploy(1, health="unhealthy")
    aside = await guarded.door.call("PUT", f"{versions()}/1/deployments/staging", MOVED)
    not_served = await put(guarded.door, number=staged)
    needless = await ask(guarded, {"url": f"{ENDPOINT}/again"}, number=staged)
    already = await ask(guarded, {"url": unhealthy["endpoint"]["url"]})

    assert (unhealthy["health"], aside.status, not_served.status) == ("unhealthy", 200, 200)
    assert [reply.document["type"] for reply in (needless, already)] == ["/problems/approval-not-needed"] * 2


async def test_what_was_agreed_to_is_void_when_the_version_has_left_its_stage(guarded: Guarded) -> None:
    await guarded.demand(1, apply="on_command")
    asked = (await ask(guarded)).expect(201)
    (await guarded.say("approve", asked["request_id"], actor="cem")).expect(200)
    other = await guarded.staged()
    follows = await guarded.asked(other)
    (await guarded.say("approve", follows, actor="cem")).expect(200)
    (await guarded.say("apply", follows, actor="ann")).expect(200)
    (await guarded.door.move(1, "deprecated")).expect(200)

    late = await guarded.say("apply", asked["request_id"], actor="ann")

    assert (late.status, late.document["type"]) == (409, "/problems/request-stale")
    assert {"stage", "champion"} <= set(late.document["changed"])


async def test_it_is_asked_for_once_at_a_time(guarded: Guarded) -> None:
    first = (await ask(guarded)).expect(201)

    again = await ask(guarded, {"url": f"{ENDPOINT}/third"}, actor="bob")
    (await guarded.say("reject", first["request_id"], actor="cem")).expect(200)

    assert (again.status, again.document["type"]) == (409, "/problems/request-open")
    assert (await ask(guarded, {"url": f"{ENDPOINT}/third"}, actor="bob")).status == 201


@pytest.mark.parametrize("document", [{"url": "ftp://host/x"}, {}, {"url": "http://user:secret@host/x"}])
async def test_a_bad_endpoint_is_not_asked_for(guarded: Guarded, document: Document) -> None:
    marks = await guarded.door.marks()

    reply = await ask(guarded, document)

    assert (reply.status, reply.is_problem, await guarded.door.marks()) == (422, True, marks)


async def test_without_approvals_of_two_changes_for_one_etag_only_the_first_is_made(door: Door) -> None:
    await door.create()
    await door.promote()
    seen = str((await door.call("GET", f"{versions()}/1/{PRODUCTION}")).etag)
    before = await routed_url(door)
    urls = [f"{ENDPOINT}/{n}" for n in range(4)]

    replies = await asyncio.gather(*(put(door, {"url": url}, etag=seen) for url in urls))

    made = [url for url, reply in zip(urls, replies, strict=True) if reply.status == 200]
    entry = next(each for each in reversed(await door.audit()) if each["action"] == "deployment.recorded")
    assert sorted(reply.status for reply in replies) == [200, 412, 412, 412]
    assert await routed_url(door) == made[0]
    assert (entry["before"]["endpoint"]["url"], entry["after"]["endpoint"]["url"]) == (before, made[0])


async def test_a_model_server_says_how_it_fares_and_cannot_send_traffic_elsewhere(door: Door) -> None:
    await door.create()
    await door.promote()
    server = replace(door, http=await a_holder(door, actor=f"server-{door.project}", roles=["model_server"]))

    fares = await put(server, {"url": f"{ENDPOINT}/risk/1", "health": "unhealthy"})
    elsewhere = await put(server)

    assert (fares.status, elsewhere.status) == (200, 403)
    assert elsewhere.document["permission"] == "versions:transition"
    assert await routed_url(door) == f"{ENDPOINT}/risk/1"
