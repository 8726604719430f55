"""API tokens: shown once, kept as a hash, bound to a project and its roles, ended by time or by hand."""

import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from modelyard_runtime.access.tokens import is_api_token, new_token

from tests.integration.registry.door import Document, Door
from tests.world.http_client import HttpClient, Reply

pytestmark = pytest.mark.integration

TOKENS = "/api/v1/access/tokens"


async def issue(door: Door, *, by: HttpClient | None = None, **facts: Any) -> Reply:
    """Ask for a token; a viewer's of the door's project for an hour, unless `facts` say otherwise."""
    document = {
        "actor": "vera",
        "project": door.project,
        "roles": ["viewer"],
        "expires_at": (door.clock.now + timedelta(hours=1)).isoformat(),
        **facts,
    }
    return await (by or door.http).call("POST", TOKENS, document)


async def a_holder(door: Door, **facts: Any) -> HttpClient:
    """Somebody who calls with a token of their own."""
    issued: Document = (await issue(door, **facts)).expect(201)
    return replace(door.http, token=issued["token"])


async def status(http: HttpClient, method: str, path: str, document: object = None) -> int:
    """How an operation is answered."""
    return (await http.call(method, path, document)).status


async def test_a_token_is_shown_once_and_kept_as_a_hash(door: Door) -> None:
    once = {"Idempotency-Key": "k"}
    document = {
        "actor": "vera",
        "project": door.project,
        "roles": ["viewer"],
        "expires_at": (door.clock.now + timedelta(hours=1)).isoformat(),
    }

    issued = (await door.http.call("POST", TOKENS, document, headers=once)).expect(201)
    again = (await door.http.call("POST", TOKENS, document, headers=once)).expect(201)
    record = (await door.http.call("GET", f"{TOKENS}/{issued['token_id']}")).expect(200)

    token = issued["token"]
    assert is_api_token(token)
    assert again == {**issued, "token": None}
    assert "token" not in record
    assert record["ending"] == token[-4:]
    facts = [each["event"] for each in await _documents(door, issued["token_id"])]
    assert [each["token_hash"] for each in facts] == [f"sha256:{sha256(token.encode()).hexdigest()}"]
    assert token not in str(facts) + str(await door.audit())


async def test_a_token_works_in_its_project_only_and_until_it_is_revoked(door: Door) -> None:
    await door.create("risk")
    vera = await a_holder(door)
    token_id = (await door.http.call("GET", TOKENS, query={"project": door.project})).expect(200)["items"][0][
        "token_id"
    ]

    at_home = await status(vera, "GET", f"/api/v1/projects/{door.project}/registered-models/risk")
    abroad = await vera.call("GET", "/api/v1/projects/another/registered-models/risk")
    writing = await vera.call("POST", f"/api/v1/projects/{door.project}/registered-models", {"name": "x"})
    revoked = await status(door.http, "DELETE", f"{TOKENS}/{token_id}")
    after = await status(vera, "GET", f"/api/v1/projects/{door.project}/registered-models/risk")
    twice = await status(door.http, "DELETE", f"{TOKENS}/{token_id}")

    assert (at_home, abroad.status, writing.status, revoked, after, twice) == (200, 403, 403, 200, 401, 409)
    assert abroad.is_problem
    assert abroad.document["permission"] == "models:read-production"
    assert "data_scientist" in writing.document["roles"]
    sequences = [(each["sequence"], each["event"]["revoked"]) for each in await _documents(door, token_id)]
    assert sequences == [(1, False), (2, True)]
    assert {"api_token.issued", "api_token.revoked"} <= set(await door.actions())


async def test_a_token_ends_when_it_expires_and_every_token_must(door: Door) -> None:
    brief = await a_holder(door, expires_at=(door.clock.now + timedelta(minutes=1)).isoformat())
    path = f"/api/v1/projects/{door.project}/registered-models"

    before = await status(brief, "GET", path)
    door.clock.now += timedelta(minutes=2)
    after = await status(brief, "GET", path)
    endless = await issue(door, expires_at=(door.clock.now + timedelta(days=4_000)).isoformat())
    silent = await issue(door, expires_at=None)

    assert (before, after, endless.status, silent.status) == (200, 401, 422, 422)
    assert endless.is_problem


async def test_nobody_gives_more_than_they_have(door: Door) -> None:
    keeper = await a_holder(door, actor="kim", roles=["admin"], scopes=["access:manage", "models:read"])

    viewer = await issue(door, by=keeper, roles=["viewer"])
    admin = await issue(door, by=keeper, roles=["admin"])
    abroad = await issue(door, by=keeper, project="another")
    everywhere = await issue(door, by=keeper, project="*")
    grant = await keeper.call("PUT", f"/api/v1/projects/{door.project}/access/grants/kim", {"roles": ["admin"]})
    wider = await issue(door, roles=["viewer"], scopes=["models:write"])

    assert viewer.status == 201
    assert [each.status for each in (admin, abroad, everywhere, grant, wider)] == [403, 403, 403, 403, 422]
    assert "models:write" in admin.document["permissions"]


async def test_a_token_of_another_project_is_not_found_by_who_does_not_manage_it(door: Door) -> None:
    theirs = (await issue(door, project="another")).expect(201)["token_id"]
    keeper = await a_holder(door, actor="kim", roles=["admin"])

    seen = await status(keeper, "GET", f"{TOKENS}/{theirs}")
    revoked = await status(keeper, "DELETE", f"{TOKENS}/{theirs}")
    listed = await status(keeper, "GET", f"{TOKENS}?project=another")

    assert (seen, revoked, listed) == (404, 404, 403)


async def test_roles_are_granted_listed_and_taken_away(door: Door) -> None:
    path = f"/api/v1/projects/{door.project}/access/grants"

    (await door.http.call("PUT", f"{path}/grace", {"roles": ["viewer", "approver"]})).expect(200)
    granted = (await door.http.call("GET", path)).expect(200)["items"]
    (await door.http.call("PUT", f"{path}/grace", {"roles": []})).expect(200)
    taken = (await door.http.call("GET", path)).expect(200)["items"]

    assert [(each["actor"], each["roles"]) for each in granted] == [("grace", ["approver", "viewer"])]
    assert taken == []
    key = f"grant/{door.project}/grace"
    rows = await _rows(door, "SELECT sequence FROM outbox WHERE key = $1 ORDER BY id", key)
    assert [row["sequence"] for row in rows] == [1, 2]


@pytest.mark.parametrize("token", [new_token(), "mly_x_y", "eyJhbGciOiJub25lIn0.e30.", ""])
async def test_a_token_that_nobody_issued_opens_nothing(door: Door, token: str) -> None:
    refused = await replace(door.http, token=token).call("GET", f"/api/v1/projects/{door.project}/registered-models")

    assert refused.status == 401
    assert refused.is_problem


async def _documents(door: Door, token_id: str) -> list[Document]:
    rows = await _rows(
        door,
        "SELECT sequence, payload FROM outbox WHERE topic = 'access.v1' AND key = $1 ORDER BY id",
        f"token/{token_id}",
    )
    return [{"sequence": row["sequence"], "event": json.loads(row["payload"])} for row in rows]


async def _rows(door: Door, statement: str, *arguments: object) -> Any:
    async with door.database.acquire() as connection:
        return await connection.fetch(statement, *arguments)
