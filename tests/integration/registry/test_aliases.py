"""Aliases over HTTP: compare-and-set, protection, and what routing learns of them."""

import asyncio
from dataclasses import replace

import pytest

from tests.integration.registry.door import Document, Door
from tests.world.http_client import Reply

pytestmark = pytest.mark.integration


async def point(door: Door, alias: str, number: int, **facts: object) -> Reply:
    return await door.call("PUT", f"/registered-models/risk/aliases/{alias}", {"number": number, **facts})


async def aliases(door: Door) -> dict[str, int]:
    found: Document = (await door.call("GET", "/registered-models/risk/aliases")).expect(200)
    return {each["alias"]: each["number"] for each in found["items"]}


async def with_versions(door: Door, count: int) -> None:
    await door.create()
    for _ in range(count):
        await door.register()


async def test_an_alias_is_set_moved_and_deleted_with_facts_and_audit_entries(door: Door) -> None:
    await with_versions(door, 2)

    set_to = (await point(door, "stable", 1)).expect(200)
    moved = (await point(door, "stable", 2, reason="quiet for a week")).expect(200)
    again = (await point(door, "stable", 2)).expect(200)
    found = (await door.call("GET", "/registered-models/risk/aliases/stable")).expect(200)
    version = (await door.call("GET", "/registered-models/risk/versions/2")).expect(200)
    (await door.call("DELETE", "/registered-models/risk/aliases/stable")).expect(200)

    assert (set_to["number"], moved["number"], again) == (1, 2, moved)
    assert (found, version["aliases"]) == (moved, ["stable"])
    moves = [fact["event"] for fact in await door.facts() if fact["type"] == "alias.moved.v1"]
    assert [(each["from_number"], each["to_number"]) for each in moves] == [(None, 1), (1, 2), (2, None)]
    entries = [each for each in await door.audit() if each["action"] == "alias.moved"]
    assert entries[1]["subject"] == "registered-models/risk/aliases/stable"
    assert (entries[1]["before"], entries[1]["after"]) == ({"number": 1}, {"number": 2})
    assert await aliases(door) == {}


async def test_an_alias_names_its_version_wherever_a_version_is_named(door: Door) -> None:
    await with_versions(door, 2)
    (await point(door, "stable", 1)).expect(200)

    named = (await door.call("GET", "/registered-models/risk/versions/@stable")).expect(200)
    move = {"to_stage": "staging", "reason": "by its alias"}
    (await door.call("POST", "/registered-models/risk/versions/@stable/transitions", move)).expect(200)
    stages = [await door.stage_of(number) for number in (1, 2)]
    unset = await door.call("GET", "/registered-models/risk/versions/@nightly")

    assert (named["number"], named["aliases"]) == (1, ["stable"])
    assert stages == ["staging", "development"]
    assert (unset.status, unset.document["type"]) == (404, "/problems/model-version-not-found")
    assert "@nightly" in unset.document["detail"]


async def test_a_caller_who_expects_another_number_is_refused(door: Door) -> None:
    await with_versions(door, 2)

    absent = await point(door, "stable", 1, expected=2)
    (await point(door, "stable", 1, expected=None)).expect(200)
    present = await point(door, "stable", 2, expected=None)
    (await point(door, "stable", 2, expected=1)).expect(200)
    deleted = await door.call("DELETE", "/registered-models/risk/aliases/stable", query={"expected": "1"})

    assert {reply.status for reply in (absent, present, deleted)} == {409}
    assert (absent.document["number"], present.document["number"], deleted.document["number"]) == (None, 1, 2)
    assert await aliases(door) == {"stable": 2}


async def test_of_moves_made_at_once_on_the_same_expectation_one_wins(door: Door) -> None:
    await with_versions(door, 6)
    (await point(door, "stable", 6)).expect(200)

    replies = await asyncio.gather(*(point(door, "stable", number, expected=6) for number in range(1, 6)))

    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409]


async def test_the_champion_is_not_moved_as_an_alias(door: Door) -> None:
    await door.create()
    champion = await door.promote()
    await door.register()

    moved = await point(door, "champion", 2)
    deleted = await door.call("DELETE", "/registered-models/risk/aliases/champion")

    assert (moved.status, deleted.status) == (409, 409)
    assert "transitions" in moved.document["fix"]
    assert await door.champion() == champion


async def test_a_protected_alias_moves_by_people_with_its_role_only(door: Door) -> None:
    await with_versions(door, 2)
    policy = {"protected_aliases": [{"alias": "stable", "role": "approver"}]}
    (await door.call("PUT", "/registered-models/risk/policy", policy)).expect(200)
    scientist = replace(door, http=replace(door.http, token="fays-token"))

    refused = await point(scientist, "stable", 1)
    free = await point(scientist, "latest-tried", 1)
    (await point(door, "stable", 1)).expect(200)
    deleted = await scientist.call("DELETE", "/registered-models/risk/aliases/stable")

    assert (refused.status, free.status, deleted.status) == (403, 200, 403)
    assert refused.document["role"] == "approver"
    assert "alias.moved.refused" in await door.actions()
    assert await aliases(door) == {"latest-tried": 1, "stable": 1}


@pytest.mark.parametrize("alias", ["latest", "Latest", "3", "1.2.0", "v1.2.0"])
async def test_an_alias_is_no_word_that_names_a_version(door: Door, alias: str) -> None:
    await with_versions(door, 1)
    facts = await door.facts()

    reply = await point(door, alias, 1)

    assert (reply.status, reply.is_problem) == (422, True)
    assert await door.facts() == facts


@pytest.mark.parametrize(
    ("document", "status"),
    [({"number": 9}, 404), ({"number": 0}, 422), ({}, 422), ({"number": 1, "expected": 0}, 422), ({"n": 1}, 422)],
)
async def test_a_bad_move_of_an_alias_is_refused(door: Door, document: Document, status: int) -> None:
    await with_versions(door, 1)

    reply = await door.call("PUT", "/registered-models/risk/aliases/stable", document)

    assert (reply.status, reply.is_problem) == (status, True)
    assert await aliases(door) == {}


async def test_an_alias_that_is_not_there_is_not_found(door: Door) -> None:
    await with_versions(door, 1)
    path = "/registered-models/risk/aliases/stable"

    assert [(await door.call(verb, path)).status for verb in ("GET", "DELETE")] == [404, 404]
    assert (await door.call("GET", "/registered-models/other/aliases")).status == 404


async def test_routing_learns_of_aliases_of_versions_that_it_knows(door: Door) -> None:
    await door.create()
    await door.promote()
    await door.register()
    before = len(await door.facts("routes.v1"))

    (await point(door, "stable", 2)).expect(200)
    unknown = len(await door.facts("routes.v1"))
    (await point(door, "stable", 1)).expect(200)

    [routed] = (await door.facts("routes.v1"))[-1]["event"]["versions"]
    assert unknown == before
    assert routed["aliases"] == ["champion", "stable"]
    (await point(door, "stable", 2)).expect(200)
    assert (await door.facts("routes.v1"))[-1]["event"]["versions"][0]["aliases"] == ["champion"]


async def test_aliases_page_by_name(door: Door) -> None:
    await with_versions(door, 1)
    for alias in ("c", "a", "b"):
        (await point(door, alias, 1)).expect(200)
    path = "/registered-models/risk/aliases"

    first = (await door.call("GET", path, query={"page_size": "2"})).expect(200)
    rest = (await door.call("GET", path, query={"page_token": first["next_page_token"]})).expect(200)

    assert [each["alias"] for each in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert rest["next_page_token"] is None
