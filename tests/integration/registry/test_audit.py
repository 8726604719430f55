"""The audit log over HTTP: searched by subject, actor, action and time; an index only for what is published."""

import pytest

from tests.integration.registry.door import Document, Door
from tests.world.http_client import HttpClient

pytestmark = pytest.mark.integration


async def search(door: Door, **query: str) -> list[Document]:
    items: list[Document] = (await door.call("GET", "/audit-entries", query=query)).expect(200)["items"]
    return items


async def test_entries_are_found_by_subject_and_what_lies_below_it(door: Door) -> None:
    await door.create("risk")
    await door.create("risk-2")
    await door.register("risk")

    found = await search(door, subject="registered-models/risk")

    assert [entry["action"] for entry in found] == ["model_version.registered", "registered_model.created"]


async def test_entries_are_found_by_actor_action_and_time(door: Door) -> None:
    await door.create("anns")
    middle = door.clock()
    bob = HttpClient(session=door.http.session, url=door.http.url, token="bobs-token")
    path = f"/api/v1/projects/{door.project}/registered-models"
    (await bob.call("POST", path, {"name": "bobs", "model_type": "x"})).expect(201)

    by_actor = await search(door, actor="bob")
    by_action = await search(door, action="registered_model.created")
    later = await search(door, created_after=middle.isoformat())
    earlier = await search(door, created_before=middle.isoformat())

    assert [entry["subject"] for entry in by_actor] == ["registered-models/bobs"]
    assert len(by_action) == 2
    assert later == by_actor
    assert [entry["actor"] for entry in earlier] == ["ann"]


async def test_entries_are_listed_newest_first_page_by_page(door: Door) -> None:
    for name in "abc":
        await door.create(name)
    first = (await door.call("GET", "/audit-entries", query={"page_size": "2"})).expect(200)

    rest = await search(door, page_token=first["next_page_token"])

    subjects = [entry["subject"] for entry in first["items"] + rest]
    assert subjects == ["registered-models/c", "registered-models/b", "registered-models/a"]


async def test_an_entry_shows_its_index_only_when_it_is_published(door: Door) -> None:
    await door.create()
    index = 9_000_000_000
    give_index = "UPDATE audit_entries SET log_index = $2 WHERE project = $1"
    publish = "UPDATE audit_entries SET published_at = now() WHERE project = $1"

    async with door.database.acquire() as connection:
        await connection.execute(give_index, door.project, index)
    given = await search(door)
    async with door.database.acquire() as connection:
        await connection.execute(publish, door.project)
    published = await search(door)

    assert [entry["log_index"] for entry in given] == [None]
    assert [entry["log_index"] for entry in published] == [index]


async def test_a_refusal_is_recorded_although_its_request_changed_nothing(door: Door) -> None:
    await door.create()
    await door.register()

    await door.move(1, "production", reason="please")

    refusal = (await search(door))[0]
    assert refusal["action"] == "model_version.transitioned.refused"
    assert refusal["after"] == {"problem": "transition-refused"}
    assert "cannot move to production" in refusal["reason"]


async def test_a_project_sees_its_own_entries_only(door: Door) -> None:
    await door.create()

    elsewhere = await (await door.beside()).call("GET", "/audit-entries")

    assert elsewhere.expect(200)["items"] == []


@pytest.mark.parametrize(
    "query", [{"created_after": "yesterday"}, {"created_before": "2026-01-01T00:00:00"}, {"page_token": "zz"}]
)
async def test_a_bad_search_is_refused(door: Door, query: dict[str, str]) -> None:
    assert (await door.call("GET", "/audit-entries", query=query)).status == 422
