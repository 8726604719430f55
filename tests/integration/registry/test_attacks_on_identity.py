"""Attempts to act as somebody else, or as two people: by names of tokens, keys and identity providers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.registry.door import Document, Door, versions
from tests.world.http_client import HttpClient

pytestmark = pytest.mark.integration

TOKENS = "/api/v1/access/tokens"


def as_whom(door: Door, token: str) -> Door:
    return replace(door, http=replace(door.http, token=token))


async def a_token(door: Door, actor: str, *, project: str | None = None, roles: tuple[str, ...] = ("admin",)) -> Any:
    """A token that the door's caller issues: its document with the secret."""
    body = {
        "actor": actor,
        "project": project or door.project,
        "roles": list(roles),
        "expires_at": (datetime(2026, 3, 3, tzinfo=UTC) + timedelta(days=30)).isoformat(),
    }
    return (await door.http.call("POST", TOKENS, body)).expect(201)


async def another_project(door: Door) -> str:
    """The name of a project besides the door's."""
    name = f"{door.project}-2"
    (await door.http.call("POST", "/api/v1/projects", {"name": name})).expect(201)
    return name


async def holding(door: Door, actor: str, **facts: Any) -> Door:
    """The door as the holder of a new token sees it."""
    return as_whom(door, (await a_token(door, actor, **facts))["token"])


async def a_request(door: Door, *, approvals: int = 1) -> str:
    """Asks for a move to production that others must agree to; answers the request's path."""
    await door.create()
    agreed = {"to_stage": "production", "approvals": {"count": approvals, "role": "approver"}}
    (await door.call("PUT", "/policies", {"moves": [agreed]})).expect(200)
    number = (await door.register())["number"]
    await door.deploy(number)
    (await door.move(number, "staging")).expect(200)
    asked = await door.call("POST", f"{versions()}/{number}/transition-requests", {"to_stage": "production"})
    return f"/transition-requests/{asked.expect(201)['request_id']}"


async def decide(door: Door, path: str) -> Any:
    return await door.call("POST", f"{path}/approve", {})


async def test_a_token_acts_in_the_name_of_its_project(door: Door) -> None:
    issued = await a_token(door, "ann", roles=("data_scientist",))

    created = await as_whom(door, issued["token"]).create()

    assert issued["acts_as"] == f"{door.project}/ann"
    assert created["created_by"] == f"{door.project}/ann"
    assert (await door.audit())[-1]["actor"] == f"{door.project}/ann"


async def test_tokens_of_one_name_in_two_projects_are_two_actors_for_idempotency_keys_too(door: Door) -> None:
    ours = await holding(door, "ada")
    theirs = await holding(door, "ada", project="*")
    key = {"idempotency-key": f"key-{door.project}"}
    body = {"name": "risk", "model_type": "risk_scoring"}

    first = await ours.call("POST", "/registered-models", body, headers=key)
    other = await theirs.call("POST", "/registered-models", body, headers=key)

    assert first.expect(201)["created_by"] == f"{door.project}/ada"
    assert other.status == 409, "the answer that was kept for somebody else is not theirs"


async def test_a_projects_admin_is_not_two_approvers_by_tokens_of_invented_names(door: Door) -> None:
    admin = await holding(door, "adam")
    carol = await holding(admin, "carol", roles=("approver",))
    dave = await holding(admin, "dave", roles=("approver",))
    path = await a_request(as_whom(door, "bobs-token"), approvals=2)

    (await decide(carol, path)).expect(200)
    second = await decide(dave, path)
    third = await decide(admin, path)

    assert (second.status, second.document["type"]) == (409, "/problems/already-decided")
    assert f"given out by {door.project}/adam" in second.document["detail"]
    assert third.status == 409


async def test_nobody_approves_by_a_token_that_the_requester_gave_out(door: Door) -> None:
    admin = await holding(door, "adam")
    carol = await holding(admin, "carol", roles=("approver",))
    path = await a_request(admin)

    reply = await decide(carol, path)

    assert (reply.status, reply.document["type"]) == (403, "/problems/self-approval")


async def test_nobody_approves_what_a_token_asked_for_that_they_gave_out(door: Door) -> None:
    admin = await holding(door, "adam")
    path = await a_request(await holding(admin, "eve"))

    assert (await decide(admin, path)).status == 403
    assert (await decide(await holding(admin, "carol", roles=("approver",)), path)).status == 403


async def test_an_operator_does_not_approve_their_own_request_by_a_token_that_they_gave_out(door: Door) -> None:
    path = await a_request(door)

    assert (await decide(await holding(door, "carol", roles=("approver",)), path)).status == 403


async def test_people_to_whom_the_operators_gave_tokens_approve_for_each_other(door: Door) -> None:
    asking, carol, dave = [await holding(door, name) for name in ("adam", "carol", "dave")]
    path = await a_request(asking, approvals=2)

    (await decide(carol, path)).expect(200)
    decided: Document = (await decide(dave, path)).expect(200)

    assert decided["state"] == "applied"
    assert [each["actor"] for each in decided["decisions"]] == [f"{door.project}/carol", f"{door.project}/dave"]


async def test_a_token_of_another_project_is_named_with_it_when_it_is_refused(door: Door) -> None:
    elsewhere = await another_project(door)
    stranger = await holding(door, "ann", project=elsewhere)

    (await stranger.call("GET", "/registered-models")).expect(403)

    refusal = (await door.audit())[-1]
    assert (refusal["actor"], refusal["project"]) == (f"{elsewhere}/ann", door.project)


@pytest.mark.parametrize("name", ["acme/ada", "../ada", "*/ada", "a b", ""])
async def test_a_name_that_says_where_it_comes_from_is_no_name_of_a_token(door: Door, name: str) -> None:
    body = {"actor": name, "project": door.project, "roles": ["viewer"], "expires_at": "2026-03-09T00:00:00Z"}

    assert (await door.http.call("POST", TOKENS, body)).status == 422


async def test_tokens_are_listed_of_all_that_the_caller_manages(door: Door) -> None:
    other = await another_project(door)
    ours = (await a_token(door, "ada"))["token_id"]
    everywhere = (await a_token(door, "bea", project="*"))["token_id"]
    theirs = await a_token(door, "cid", project=other)

    async def listed(http: HttpClient, **query: str) -> set[str]:
        found = (await http.call("GET", TOKENS, query={"page_size": "100", **query})).expect(200)["items"]
        return {each["token_id"] for each in found}

    assert {ours, everywhere, theirs["token_id"]} <= await listed(door.http)
    assert await listed(door.http, project=door.project) == {ours}
    assert everywhere in await listed(door.http, project="*")
    of_one_project = replace(door.http, token=theirs["token"])
    assert await listed(of_one_project) == {theirs["token_id"]}
    assert (await of_one_project.call("GET", TOKENS, query={"project": door.project})).status == 403
