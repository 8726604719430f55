"""Projects are made on purpose: whoever misspells one is told, and nothing new comes into being."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.registry.door import Door, digest_of, versions
from tests.world.http_client import HttpClient, Reply

pytestmark = pytest.mark.integration

PROJECTS = "/api/v1/projects"
PUBLIC_KEY = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def misspelt(door: Door) -> Door:
    """The door to a project that nobody created, spelled almost as one that is there."""
    return replace(door, project=f"{door.project}x")


async def projects_of(http: HttpClient) -> dict[str, dict[str, Any]]:
    """Every project that the caller may read, by name."""
    found: dict[str, dict[str, Any]] = {}
    token: str | None = None
    while True:
        query = {"page_size": "200", **({"page_token": token} if token else {})}
        page = (await http.call("GET", PROJECTS, query=query)).expect(200)
        found |= {each["name"]: each for each in page["items"]}
        token = page["next_page_token"]
        if token is None:
            return found


async def somebody(door: Door, *, roles: list[str], project: str | None = None) -> HttpClient:
    """Whoever has these roles in the door's project."""
    document = {
        "actor": "somebody",
        "project": project or door.project,
        "roles": roles,
        "expires_at": (door.clock.now + timedelta(days=200)).isoformat(),
    }
    token = (await door.http.call("POST", "/api/v1/access/tokens", document)).expect(201)["token"]
    return replace(door.http, token=token)


async def test_an_admin_creates_a_project_and_then_it_has_models(door: Door) -> None:
    named = replace(door, project=f"{door.project}-new")
    document = {"name": named.project, "description": "Scores of the lending business"}

    created = (await door.http.call("POST", PROJECTS, document)).expect(201)
    await named.create()

    assert created["name"] == named.project
    assert (created["description"], created["created_by"]) == (document["description"], "ann")
    assert created["registered_models"] == 0
    found = (await door.http.call("GET", f"{PROJECTS}/{named.project}")).expect(200)
    assert (found["registered_models"], found["model_versions"]) == (1, 0)
    assert await named.actions() == ["project.created", "registered_model.created"]


async def test_a_project_is_created_once(door: Door) -> None:
    again = await door.http.call("POST", PROJECTS, {"name": door.project})

    assert again.status == 409
    assert again.document["type"] == "/problems/project-exists"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "*", "-x", "x" * 101, "ä"])
async def test_a_project_has_a_name_that_fits_in_paths(door: Door, name: str) -> None:
    refused = await door.http.call("POST", PROJECTS, {"name": name})

    assert refused.status == 422
    assert "body.name" in refused.document["detail"]


async def test_only_an_admin_of_all_projects_creates_one(door: Door) -> None:
    admin_here = await somebody(door, roles=["admin"])
    viewer = await somebody(door, roles=["viewer"], project="*")

    refused = [await each.call("POST", PROJECTS, {"name": f"{door.project}-y"}) for each in (admin_here, viewer)]

    assert [reply.status for reply in refused] == [403, 403]
    assert f"{door.project}-y" not in await projects_of(door.http)


async def test_the_project_default_is_there_from_the_beginning(door: Door) -> None:
    assert "default" in await projects_of(door.http)


async def test_creating_a_model_in_a_misspelt_project_names_the_right_one_and_makes_nothing(door: Door) -> None:
    wrong = misspelt(door)
    document = {"name": "risk", "model_type": "risk_scoring", "primary_metric": "auc"}

    refused = await wrong.call("POST", "/registered-models", document)

    assert refused.status == 404
    assert refused.document["type"] == "/problems/project-not-found"
    assert wrong.project in refused.document["detail"]
    assert door.project in refused.document["near"]
    assert f"Did you mean {door.project}" in refused.document["fix"]
    assert "POST /api/v1/projects" in refused.document["fix"]
    assert wrong.project not in await projects_of(door.http)


async def test_the_right_name_is_found_among_thousands_of_projects(door: Door) -> None:
    async with door.database.acquire() as connection:
        names = [f"{start}{number}" for start in ("a", "z") for number in range(1_500)]
        await connection.execute(
            "INSERT INTO projects (name, created_at, created_by) SELECT unnest($1::text[]), now(), 'ann'"
            " ON CONFLICT (name) DO NOTHING",
            names,
        )

        refused = await misspelt(door).call("GET", "/registered-models")

        assert door.project in refused.document["near"]
        await connection.execute("DELETE FROM projects WHERE name = ANY($1)", names)


async def requests_in(door: Door) -> list[Reply]:
    """One request of each kind in the door's project, by every way that names a project."""
    content = b"bytes"
    digest = digest_of(content)
    named = {"project_id": door.project}
    policy = {"training_examples_min": 1, "improvement_min": 0}
    return [
        await door.call("GET", "/registered-models"),
        await door.call("GET", "/registered-models/risk"),
        await door.call("GET", "/model-versions"),
        await door.call("GET", "/audit-entries"),
        await door.call("GET", "/audit-entries/verify"),
        await door.call("GET", "/audit-entries/export"),
        await door.call("GET", "/policies"),
        await door.call("GET", "/routes"),
        await door.call("GET", "/experiments"),
        await door.call("GET", "/transition-requests"),
        await door.call("GET", "/access/grants"),
        await door.call("HEAD", f"/artifacts/{digest}"),
        await door.call("PUT", f"/artifacts/{digest}", data=content),
        await door.call("PUT", "/policies", {"champion": "manual"}),
        await door.call("PUT", "/routes/risk_scoring/policy", policy),
        await door.call("PUT", "/access/grants/bob", {"roles": ["viewer"]}),
        await door.call("POST", versions(), {"digest": digest}),
        await door.call("POST", f"{versions()}/1/transitions", {"to_stage": "staging"}),
        await door.http.call("GET", PROJECTS + f"/{door.project}"),
        await door.http.call("GET", "/api/v1/registry/models", query=named),
        await door.http.call("GET", "/api/v1/models", query=named),
        await door.http.call("POST", "/api/v1/registry/models", {"name": "risk", **named}),
        await door.http.call("GET", "/api/v1/access/tokens", query={"project": door.project}),
        await door.http.call("GET", "/api/v1/access/signing-keys", query={"project": door.project}),
        await door.http.call("POST", "/api/v1/access/tokens", _token(door)),
        await door.http.call("POST", "/api/v1/access/signing-keys", _key(door)),
    ]


async def test_nothing_is_read_or_made_in_a_project_that_nobody_created(door: Door) -> None:
    wrong = misspelt(door)

    replies = await requests_in(wrong)

    assert {reply.operation: reply.status for reply in replies if reply.status != 404} == {}
    assert {reply.document["type"] for reply in replies if reply.body} == {"/problems/project-not-found"}
    assert await wrong.audit() == []
    assert not wrong.artifacts.joinpath("sha256", digest_of(b"bytes")[7:9]).exists()


async def test_whoever_may_do_nothing_in_a_project_does_not_learn_whether_it_is_there(door: Door) -> None:
    outsider = replace(door, http=await somebody(door, roles=["admin"], project="another"))

    there = await outsider.call("GET", "/registered-models")
    nowhere = await misspelt(outsider).call("GET", "/registered-models")

    assert (there.status, nowhere.status) == (403, 403)
    assert there.document["detail"].replace(door.project, "P") == nowhere.document["detail"].replace(
        f"{door.project}x", "P"
    )


async def test_a_refusal_in_a_project_that_nobody_created_is_on_record_where_somebody_finds_it(door: Door) -> None:
    outsider = replace(door, http=await somebody(door, roles=["admin"], project="another"))
    wrong = misspelt(outsider)

    (await wrong.call("GET", "/policies")).expect(403)

    default = replace(door, project="default")
    entries = [each for each in await default.audit() if wrong.project in (each["reason"] or "")]
    assert [each["actor"] for each in entries] == ["somebody"] or entries[0]["actor"].endswith("somebody")
    assert await replace(door, project=wrong.project).audit() == []


async def test_callers_are_told_of_the_projects_that_they_may_read(door: Door) -> None:
    await door.create()
    viewer = await somebody(door, roles=["viewer"])
    developer = await somebody(door, roles=["developer"])

    assert set(await projects_of(viewer)) == {door.project}
    assert (await projects_of(viewer))[door.project]["registered_models"] == 1
    assert (await projects_of(developer))[door.project]["registered_models"] is None
    assert {door.project, "default", "another"} <= set(await projects_of(door.http))


async def test_near_names_are_those_that_the_caller_may_read(door: Door) -> None:
    admin_here = await somebody(door, roles=["viewer"], project=door.project)
    near = replace(door, http=admin_here, project=f"{door.project[:-1]}")

    everywhere = await replace(near, http=door.http).call("GET", "/registered-models")

    assert everywhere.document["near"][0] == door.project
    assert (await near.call("GET", "/registered-models")).status == 403


def _token(door: Door) -> dict[str, object]:
    expires_at = (door.clock.now + timedelta(days=200)).isoformat()
    return {"actor": "gate", "project": door.project, "roles": ["gateway"], "expires_at": expires_at}


def _key(door: Door) -> dict[str, object]:
    expires_at = (door.clock.now + timedelta(days=200)).isoformat()
    return {
        "actor": "nightly",
        "project": door.project,
        "topics": ["training-runs.v1"],
        "public_key": PUBLIC_KEY,
        "expires_at": expires_at,
    }


async def test_a_wrong_method_is_told_before_an_unknown_project(door: Door) -> None:
    for method in ("PATCH", "DELETE"):
        reply = await door.http.call(
            method, "/api/v1/registry/models/summary", query={"project_id": f"{door.project}x"}
        )

        assert (reply.status, reply.is_problem) == (405, True)
