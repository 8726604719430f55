"""Signing keys at the door: public halves only, bound to an actor, a project and topics, ended by time or by hand."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.integration.registry.door import Document, Door
from tests.integration.registry.test_access_tokens import a_holder
from tests.world.http_client import HttpClient, Reply

pytestmark = pytest.mark.integration

KEYS = "/api/v1/access/signing-keys"


def a_public_key() -> str:
    """The public half of a pair whose private half nobody keeps."""
    return base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()


async def register(door: Door, *, by: HttpClient | None = None, **facts: Any) -> Reply:
    """Register a key for training runs of the door's project, unless `facts` say otherwise."""
    document = {
        "actor": "nightly-training",
        "project": door.project,
        "topics": ["training-runs.v1"],
        "public_key": a_public_key(),
        "expires_at": (door.clock.now + timedelta(days=30)).isoformat(),
        **facts,
    }
    return await (by or door.http).call("POST", KEYS, document)


async def documents(door: Door, key_id: str) -> list[Document]:
    """What the access topic is going to hear of a key."""
    async with door.database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT sequence, payload FROM outbox WHERE topic = 'access.v1' AND key = $1 ORDER BY id", f"key/{key_id}"
        )
    return [{"sequence": row["sequence"], "event": json.loads(row["payload"])} for row in rows]


async def test_a_key_is_registered_listed_shown_and_revoked_for_good(door: Door) -> None:
    public_key = a_public_key()

    registered = (await register(door, public_key=public_key)).expect(201)
    path = f"{KEYS}/{registered['key_id']}"
    listed = (await door.http.call("GET", KEYS, query={"project": door.project})).expect(200)["items"]
    shown = (await door.http.call("GET", path)).expect(200)
    revoked = (await door.http.call("DELETE", path)).expect(200)
    twice = await door.http.call("DELETE", path)

    assert registered == shown
    assert listed == [registered]
    assert registered["public_key"] == public_key
    assert revoked["revoked_by"] == "ann"
    assert twice.status == 409
    assert twice.is_problem
    facts = await documents(door, registered["key_id"])
    assert [(each["sequence"], each["event"]["revoked"]) for each in facts] == [(1, False), (2, True)]
    assert (await door.actions())[:2] == ["signing_key.registered", "signing_key.revoked"]


async def test_the_list_of_keys_comes_in_pages(door: Door) -> None:
    ids = [(await register(door)).expect(201)["key_id"] for _ in range(3)]

    first = (await door.http.call("GET", KEYS, query={"project": door.project, "page_size": "2"})).expect(200)
    rest = (
        await door.http.call(
            "GET", KEYS, query={"project": door.project, "page_size": "2", "page_token": first["next_page_token"]}
        )
    ).expect(200)

    assert [each["key_id"] for each in (*first["items"], *rest["items"])] == ids[::-1]
    assert rest["next_page_token"] is None


async def test_a_public_key_proves_one_actor_only(door: Door) -> None:
    public_key = a_public_key()
    (await register(door, public_key=public_key)).expect(201)

    again = await register(door, public_key=public_key, actor="somebody-else")

    assert again.status == 409
    assert again.is_problem


@pytest.mark.parametrize(
    "public_key",
    [
        base64.b64encode(bytes(32)).decode(),
        base64.b64encode(b"\x01" + bytes(31)).decode(),
        base64.b64encode(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")).decode(),
        base64.b64encode(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa")).decode(),
        base64.b64encode(bytes.fromhex("ec" + "ff" * 30 + "7f")).decode(),
        base64.b64encode(bytes(31)).decode(),
        base64.b64encode(bytes(64)).decode(),
        "-----BEGIN PUBLIC KEY-----",
        "é" * 43 + "=",
        "",
    ],
)
async def test_a_public_key_that_proves_nothing_is_refused(door: Door, public_key: str) -> None:
    refused = await register(door, public_key=public_key)

    assert refused.status == 422
    assert refused.is_problem
    assert "signing_key.registered" not in await door.actions()


@pytest.mark.parametrize(
    "facts",
    [
        {"topics": []},
        {"topics": ["routes.v1"]},
        {"topics": ["entity-changes.v1"]},
        {"topics": ["entity-changes.v1"], "tenants": []},
        {"expires_at": None},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2099-01-01T00:00:00Z"},
        {"project": "not a project"},
        {"actor": ""},
    ],
    ids=str,
)
async def test_a_key_for_nothing_for_ever_or_for_tenants_unnamed_is_refused(door: Door, facts: dict[str, Any]) -> None:
    refused = await register(door, **facts)

    assert refused.status == 422
    assert refused.is_problem


async def test_nobody_registers_a_key_that_may_more_than_they(door: Door) -> None:
    keeper = await a_holder(door, actor="kim", roles=["admin"], scopes=["access:manage", "versions:register"])
    viewer = await a_holder(door)

    own = await register(door, by=keeper)
    wider = await register(door, by=keeper, topics=["entity-changes.v1"], tenants=["CA"])
    abroad = await register(door, by=keeper, project="another")
    everywhere = await register(door, by=keeper, project="*")
    unmanaged = await register(door, by=viewer)

    assert own.status == 201
    assert [each.status for each in (wider, abroad, everywhere, unmanaged)] == [403] * 4
    assert wider.document["permissions"] == ["entities:change"]


async def test_a_key_of_another_project_is_not_found_by_who_does_not_manage_it(door: Door) -> None:
    theirs = (await register(door, project="another")).expect(201)["key_id"]
    keeper = await a_holder(door, actor="kim", roles=["admin"])

    seen = await keeper.call("GET", f"{KEYS}/{theirs}")
    revoked = await keeper.call("DELETE", f"{KEYS}/{theirs}")
    listed = await keeper.call("GET", KEYS, query={"project": "another"})

    assert (seen.status, revoked.status, listed.status) == (404, 404, 403)
