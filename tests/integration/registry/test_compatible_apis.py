"""Other registries' APIs, spoken to with the requests that their documents show."""

import uuid
from collections.abc import Mapping

import pytest

from tests.integration.registry.door import ENDPOINT, Document, Door, versions
from tests.world.http_client import HttpClient, Reply

pytestmark = pytest.mark.integration

REGISTRY = "/api/v1/registry/models"
BY_NAME = "/api/v1/models"


async def ask(
    door: Door,
    method: str,
    path: str,
    document: object = None,
    *,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    return await door.http.call(method, path, document, query=query, headers=headers)


async def a_model(door: Door) -> str:
    """The id of the model that the documents create."""
    document = {
        "name": "credit-risk-model",
        "project_id": door.project,
        "description": "Credit risk prediction model",
    }
    created: Document = (await ask(door, "POST", REGISTRY, document)).expect(201)
    assert (created["name"], created["project_id"]) == ("credit-risk-model", door.project)
    return str(created["id"])


async def a_version(door: Door, model_id: str, **facts: object) -> Document:
    document = {"version": "v1.0.0", "run_id": str(uuid.uuid4()), "metrics": {"accuracy": 0.92, "auc": 0.88}, **facts}
    registered: Document = (await ask(door, "POST", f"{REGISTRY}/{model_id}/versions", document)).expect(201)
    return registered


async def a_servable_version(door: Door, model_id: str, *, version: str, content: bytes) -> str:
    """The id of a version with an artifact and an endpoint."""
    registered = await a_version(door, model_id, version=version, artifact_version_id=await door.upload(content))
    path = f"{versions('credit-risk-model')}/{version}/deployments/production"
    (await door.call("PUT", path, {"url": ENDPOINT, "health": "healthy"})).expect(200)
    return str(registered["id"])


async def move(door: Door, version_id: str, stage: str, comment: str) -> Reply:
    path = f"{REGISTRY}/versions/{version_id}/transition"
    return await ask(door, "POST", path, {"stage": stage, "comment": comment})


async def test_versions_are_registered_and_read_as_the_document_writes_it(door: Door) -> None:
    model_id = await a_model(door)

    first = await a_version(door, model_id, artifact_version_id=str(uuid.uuid4()))
    second = await a_version(door, model_id, version="v2.0.0", metrics={"accuracy": 0.94, "auc": 0.91})

    model = (await ask(door, "GET", f"{REGISTRY}/{model_id}")).expect(200)
    listed = (await ask(door, "GET", f"{REGISTRY}/{model_id}/versions")).expect(200)
    read = (await ask(door, "GET", f"{REGISTRY}/{model_id}/versions/v1.0.0")).expect(200)
    assert [version["version"] for version in model["versions"]] == ["v2.0.0", "v1.0.0"]
    assert listed["items"] == [second, first]
    assert read == first
    assert (first["stage"], first["metrics"], first["model_id"]) == ("none", {"accuracy": 0.92, "auc": 0.88}, model_id)
    assert (first["approved_by"], first["approved_at"]) == (None, None)


async def test_a_version_goes_through_the_stages_of_the_document_and_its_history_says_so(door: Door) -> None:
    model_id = await a_model(door)
    v1 = await a_servable_version(door, model_id, version="v1.0.0", content=b"one")
    v2 = await a_servable_version(door, model_id, version="v2.0.0", content=b"two")
    (await move(door, v1, "staging", "Initial deployment")).expect(200)
    (await move(door, v1, "production", "Passed all tests")).expect(200)

    (await move(door, v2, "staging", "Testing improved model")).expect(200)
    promoted = (await move(door, v2, "production", "Replacing v1 with higher accuracy")).expect(200)
    archived = (await move(door, v1, "archived", "Replaced by v2")).expect(200)

    history = (await ask(door, "GET", f"{REGISTRY}/versions/{v2}/transitions")).expect(200)["items"]
    latest = (await ask(door, "GET", f"{REGISTRY}/stages/production/latest", query={"model_id": model_id})).expect(200)
    assert (promoted["stage"], archived["stage"]) == ("production", "archived")
    assert (promoted["approved_by"], promoted["approved_at"]) == ("ann", history[0]["transitioned_at"])
    assert [(each["from_stage"], each["to_stage"], each["comment"]) for each in history] == [
        ("staging", "production", "Replacing v1 with higher accuracy"),
        ("none", "staging", "Testing improved model"),
    ]
    assert latest["id"] == v2
    assert await door.stage_of(1, name="credit-risk-model") == "archived"
    assert await door.champion("credit-risk-model") == 2


async def test_the_champion_is_not_archived_and_no_half_of_the_move_is_made(door: Door) -> None:
    model_id = await a_model(door)
    v1 = await a_servable_version(door, model_id, version="v1.0.0", content=b"one")
    (await move(door, v1, "staging", "a")).expect(200)
    (await move(door, v1, "production", "b")).expect(200)

    refused = await move(door, v1, "archived", "c")

    assert refused.status == 409
    assert refused.is_problem
    assert await door.stage_of(1, name="credit-risk-model") == "production"


async def test_a_version_without_an_artifact_is_kept_but_never_served(door: Door) -> None:
    model_id = await a_model(door)
    registered = await a_version(door, model_id, artifact_version_id="models/credit-risk:7")
    path = f"{versions('credit-risk-model')}/1/deployments/production"
    (await door.call("PUT", path, {"url": ENDPOINT, "health": "healthy"})).expect(200)
    (await move(door, registered["id"], "staging", "try it")).expect(200)

    refused = await move(door, registered["id"], "production", "serve it")

    native = (await door.call("GET", f"{versions('credit-risk-model')}/1")).expect(200)
    assert refused.status == 409
    assert "upload the model's artifact and register it as a new version" in refused.document["fix"]
    assert native["format"] == "metadata"
    assert registered["artifact_version_id"] == "models/credit-risk:7"
    content = await door.call("GET", f"{versions('credit-risk-model')}/1/artifact")
    assert content.expect(200)["metrics"] == {"accuracy": 0.92, "auc": 0.88}


async def test_models_are_searched_counted_and_paged(door: Door) -> None:
    model_id = await a_model(door)
    await a_version(door, model_id)
    there = {"X-Project-Id": door.project}
    (await ask(door, "POST", REGISTRY, {"name": "churn", "tags": ["urgent", "team=crm"]}, headers=there)).expect(201)

    found = (await ask(door, "GET", REGISTRY, query={"project_id": door.project, "search": "RISK"})).expect(200)
    page = (await ask(door, "GET", REGISTRY, query={"project_id": door.project, "page_size": "1"})).expect(200)
    summary = (await ask(door, "GET", f"{REGISTRY}/summary", headers=there)).expect(200)

    assert [model["id"] for model in found["items"]] == [model_id]
    assert [(model["name"], model["tags"]) for model in page["items"]] == [("churn", ["team=crm", "urgent"])]
    assert page["next_page_token"]
    assert summary == {
        "total_models": 2,
        "total_versions": 1,
        "versions_by_stage": {"none": 1, "staging": 0, "production": 0, "archived": 0},
    }


async def test_names_and_versions_conflict_as_the_document_says(door: Door) -> None:
    model_id = await a_model(door)
    await a_version(door, model_id)

    again = await ask(door, "POST", REGISTRY, {"name": "credit-risk-model", "project_id": door.project})
    version = await ask(door, "POST", f"{REGISTRY}/{model_id}/versions", {"version": "v1.0.0"})
    no_semver = await ask(door, "POST", f"{REGISTRY}/{model_id}/versions", {"version": "first"})

    assert (again.status, version.status, no_semver.status) == (409, 409, 422)
    assert again.is_problem
    assert version.is_problem
    assert no_semver.is_problem


async def test_a_retry_in_another_project_is_another_request(door: Door) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    elsewhere = (await door.beside()).project

    here = await ask(door, "POST", REGISTRY, {"name": "risk"}, query={"project_id": door.project}, headers=key)
    again = await ask(door, "POST", REGISTRY, {"name": "risk"}, query={"project_id": door.project}, headers=key)
    there = await ask(door, "POST", REGISTRY, {"name": "risk"}, query={"project_id": elsewhere}, headers=key)

    assert here.expect(201) == again.expect(201)
    assert there.status in (409, 422)


async def test_an_id_of_another_project_than_the_named_one_is_unknown(door: Door) -> None:
    model_id = await a_model(door)
    version = await a_version(door, model_id)
    elsewhere = {"project_id": f"{door.project}-2"}

    replies = [
        await ask(door, "GET", f"{REGISTRY}/{model_id}", query=elsewhere),
        await ask(door, "GET", f"{REGISTRY}/{model_id}/versions", query=elsewhere),
        await ask(door, "POST", f"{REGISTRY}/{model_id}/versions", {}, query=elsewhere),
        await ask(
            door, "POST", f"{REGISTRY}/versions/{version['id']}/transition", {"stage": "staging"}, query=elsewhere
        ),
        await ask(door, "GET", f"{REGISTRY}/versions/{version['id']}/transitions", query=elsewhere),
    ]
    two = await ask(door, "POST", REGISTRY, {"name": "x", "project_id": "one"}, query={"project_id": "two"})

    assert [reply.status for reply in replies] == [404] * 5
    assert two.status == 422


async def test_models_and_versions_are_described_otherwise(door: Door) -> None:
    model_id = await a_model(door)
    version = await a_version(door, model_id, tags=["first", "team=risk"], metadata={"a": {"b": 1}, "c": 2})

    model = await ask(door, "PATCH", f"{REGISTRY}/{model_id}", {"description": "New", "tags": ["team=lending"]})
    path = f"{REGISTRY}/versions/{version['id']}"
    patched = await ask(door, "PATCH", path, {"tags": ["reviewed"], "metadata": {"c": None, "d": 3}})
    metrics = await ask(door, "PATCH", path, {"metrics": {"accuracy": 1.0}})

    read = (await ask(door, "GET", f"{REGISTRY}/{model_id}")).expect(200)
    assert (read["description"], read["tags"]) == ("New", ["team=lending"])
    assert model.expect(200)["tags"] == ["team=lending"]
    assert read["versions"] == [patched.expect(200)]
    assert (patched.document["tags"], patched.document["metadata"]) == (["reviewed"], {"a": {"b": 1}, "d": 3})
    assert metrics.status == 422
    assert (await door.actions())[-2:] == ["registered_model.updated", "model_version.updated"]


async def test_a_deleted_version_is_archived_and_a_deleted_model_is_gone(door: Door) -> None:
    model_id = await a_model(door)
    version = await a_version(door, model_id)
    path = f"{REGISTRY}/versions/{version['id']}"

    archived = [(await ask(door, "DELETE", path)).expect(200)["stage"] for _ in range(2)]
    deleted = await ask(door, "DELETE", f"{REGISTRY}/{model_id}")

    gone = [
        (await ask(door, "GET", f"{REGISTRY}/{model_id}")).status,
        (await ask(door, "GET", f"{path}/transitions")).status,
        (await ask(door, "DELETE", f"{REGISTRY}/{model_id}")).status,
    ]
    summary = (await ask(door, "GET", f"{REGISTRY}/summary", query={"project_id": door.project})).expect(200)
    assert archived == ["archived", "archived"]
    assert deleted.expect(200)["id"] == model_id
    assert gone == [404, 404, 404]
    assert (summary["total_models"], summary["total_versions"]) == (0, 0)


async def test_models_are_listed_and_read_by_name_as_the_document_writes_it(door: Door) -> None:
    there = {"project_id": door.project}
    for version in ("v1.0.0", "v1.0.1", "v1.1.0"):
        document = {
            "name": "credit-approval",
            "version": version,
            "algorithm": "GradientBoostingClassifier",
            "metrics": {"accuracy": 0.92},
            "features": ["age", "income", "credit_score"],
        }
        (await ask(door, "POST", f"{BY_NAME}/register", document, query=there)).expect(201)

    listed = (await ask(door, "GET", BY_NAME, query=there)).expect(200)
    read = (await ask(door, "GET", f"{BY_NAME}/credit-approval/v1.0.0", query=there)).expect(200)

    assert listed["models"] == [
        {
            "name": "credit-approval",
            "versions": ["v1.0.0", "v1.0.1", "v1.1.0"],
            "latest_version": "v1.1.0",
            "production_version": None,
        }
    ]
    assert read == {
        "model_id": "credit-approval-v1.0.0",
        "status": "development",
        "created_date": door.clock.now.date().isoformat(),
        "creator": "ann",
        "metrics": {"accuracy": 0.92},
        "features": ["age", "income", "credit_score"],
    }


async def test_a_version_is_promoted_by_name(door: Door) -> None:
    there = {"project_id": door.project}
    document = {"name": "credit-approval", "version": "v1.1.0", "digest": await door.upload(b"a model")}
    (await ask(door, "POST", f"{BY_NAME}/register", document, query=there)).expect(201)
    await door.deploy(1, name="credit-approval")
    path = f"{BY_NAME}/credit-approval/v1.1.0/transition"
    early = await ask(door, "POST", path, {"to_stage": "production"}, query=there)
    (await ask(door, "POST", path, {"to_stage": "staging"}, query=there)).expect(200)

    promoted = (await ask(door, "POST", path, {"to_stage": "production"}, query=there)).expect(200)

    listed = (await ask(door, "GET", BY_NAME, query=there)).expect(200)["models"][0]
    assert early.status == 409
    assert promoted["status"] == "production"
    assert listed["production_version"] == "v1.1.0"


async def test_nobody_gets_in_without_a_token(door: Door) -> None:
    stranger = HttpClient(session=door.http.session, url=door.http.url, token=None)

    replies = [await stranger.call("GET", path) for path in (REGISTRY, f"{REGISTRY}/summary", BY_NAME)]

    assert [reply.status for reply in replies] == [401, 401, 401]
