"""Registered models and versions over HTTP: identity, numbers, retries, paging, and what is written with them."""

import asyncio

import pytest

from tests.integration.registry.door import Door, digest_of, versions

pytestmark = pytest.mark.integration

CALLERS = 64


async def test_a_registered_model_is_created_with_its_fact_and_its_audit_entry(door: Door) -> None:
    created = await door.create(
        "loans-credit-card", scope="industry", industry="credit_card", owner="risk team", tags={"team": "risk"}
    )

    read = (await door.call("GET", "/registered-models/loans-credit-card")).expect(200)
    [fact] = await door.facts()
    [entry] = await door.audit()
    assert read == created
    assert (created["industry"], created["champion"], created["aliases"]) == ("credit_card", None, {})
    assert (fact["type"], fact["sequence"]) == ("registered_model.created.v1", 1)
    assert fact["key"] == f"{door.project}/loans-credit-card"
    assert fact["event"]["registered_model_id"] == created["registered_model_id"]
    assert (entry["action"], entry["actor"]) == ("registered_model.created", "ann")
    assert entry["subject"] == "registered-models/loans-credit-card"
    assert len(await door.facts("audit-log.v1")) == 1


async def test_a_name_is_taken_once_per_project(door: Door) -> None:
    await door.create("risk")
    facts = len(await door.facts())

    reply = await door.call("POST", "/registered-models", {"name": "risk", "model_type": "forecasting"})

    assert reply.status == 409
    assert reply.is_problem
    assert len(await door.facts()) == facts
    assert (await door.actions())[-1] == "registered_model.created.refused"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"name": "risk"},
        {"name": "../risk", "model_type": "risk_scoring"},
        {"name": "ri sk", "model_type": "risk_scoring"},
        {"name": "risk", "model_type": "risk_scoring", "scope": "industry"},
        {"name": "risk", "model_type": "risk_scoring", "scope": "tenant", "industry": "retail"},
        {"name": "risk", "model_type": "risk_scoring", "industry": "retail"},
        {"name": "risk", "model_type": "risk_scoring", "scope": "galactic"},
        {"name": "risk", "model_type": "risk_scoring", "colour": "red"},
        {"name": "risk", "model_type": "risk_scoring", "description": "a\u0000b"},
        {"name": "risk", "model_type": "risk_scoring", "description": "\ud800"},
        {"name": "risk", "model_type": "risk_scoring", "tags": {"a": "\u0000"}},
        [],
        "risk",
    ],
)
async def test_a_malformed_model_is_refused_and_changes_nothing(door: Door, document: object) -> None:
    reply = await door.call("POST", "/registered-models", document)

    assert reply.status == 422
    assert reply.is_problem
    assert await door.marks() == (0, 0)


async def test_models_are_listed_by_name_page_by_page_and_filtered(door: Door) -> None:
    for name in ("d", "b", "a", "c"):
        await door.create(name)
    await door.create("e", model_type="forecasting", scope="tenant", tenant="acme")
    names: list[str] = []
    query = {"page_size": "2", "model_type": "risk_scoring"}

    while True:
        page = (await door.call("GET", "/registered-models", query=query)).expect(200)
        names += [model["name"] for model in page["items"]]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    of_tenant = (await door.call("GET", "/registered-models", query={"tenant": "acme"})).expect(200)

    assert names == ["a", "b", "c", "d"]
    assert [model["name"] for model in of_tenant["items"]] == ["e"]


async def test_a_version_is_registered_with_its_fact_and_its_audit_entry(door: Door) -> None:
    await door.create()
    evidence = {"metrics": {"auc": 0.9}, "training_examples": 5144, "parameters": {"depth": 3, "big": 10**30}}

    version = await door.register(run_id="run-1", evidence=evidence)

    fact = (await door.facts())[-1]
    entry = (await door.audit())[-1]
    assert (version["number"], version["semver"], version["stage"]) == (1, "1.0.0", "development")
    assert version["evidence"]["parameters"] == {"depth": 3, "big": 10**30}
    assert (version["improvement"], version["improvement_reason"]) == (None, "The evidence names no parent.")
    assert (fact["type"], fact["sequence"]) == ("model_version.registered.v1", 2)
    assert fact["event"]["version_id"] == version["version_id"]
    assert (entry["action"], entry["digest"]) == ("model_version.registered", version["digest"])
    assert entry["subject"] == "registered-models/risk/versions/1"


async def test_sixty_four_callers_at_once_get_sixty_four_gapless_numbers(door: Door) -> None:
    await door.create()
    digest = await door.upload()

    replies = await asyncio.gather(
        *(door.call("POST", versions(), {"digest": digest, "run_id": f"run-{i}"}) for i in range(CALLERS))
    )

    registered = [reply.expect(201) for reply in replies]
    facts = await door.facts()
    assert sorted(version["number"] for version in registered) == list(range(1, CALLERS + 1))
    assert len({version["semver"] for version in registered}) == CALLERS
    assert [fact["sequence"] for fact in facts] == list(range(1, CALLERS + 2))


async def test_the_same_run_and_artifact_again_answer_the_first_version(door: Door) -> None:
    await door.create()
    first = await door.register(run_id="run-1")
    marks = await door.marks()

    again = await asyncio.gather(
        *(door.call("POST", versions(), {"digest": first["digest"], "run_id": "run-1"}) for _ in range(8))
    )

    assert [reply.expect(200) for reply in again] == [first] * 8
    assert await door.marks() == marks


async def test_an_artifact_must_be_uploaded_to_the_project_first(door: Door) -> None:
    await door.create()
    digest = digest_of(b"never uploaded")

    reply = await door.call("POST", versions(), {"digest": digest})

    assert reply.status == 409
    assert f"PUT it first: /api/v1/projects/{door.project}/artifacts/{digest}" in reply.document["fix"]
    assert (await door.actions())[-1] == "model_version.registered.refused"


async def test_explicit_versions_may_carry_a_v_and_may_be_backports(door: Door) -> None:
    await door.create()

    semvers = [
        (await door.register(**how))["semver"]
        for how in ({"semver": "v2.0.0"}, {"semver": "1.4.2"}, {"change_type": "patch"}, {})
    ]

    latest = (await door.call("GET", f"{versions()}/latest")).expect(200)
    assert semvers == ["2.0.0", "1.4.2", "2.0.1", "2.1.0"]
    assert latest["number"] == 4


async def test_a_semantic_version_is_taken_once(door: Door) -> None:
    await door.create()
    digest = (await door.register(semver="1.2.0"))["digest"]

    reply = await door.call("POST", versions(), {"digest": digest, "semver": "1.2.0"})

    assert reply.status == 409
    assert "change_type" in reply.document["fix"]
    assert (await door.register())["number"] == 2


@pytest.mark.parametrize(
    "facts",
    [
        {"digest": "sha256:0"},
        {"digest": "md5:" + "0" * 64},
        {"semver": "1.0"},
        {"semver": "1.0.0-rc1"},
        {"semver": "1.0.0", "change_type": "minor"},
        {"change_type": "huge"},
        {"run_id": ""},
        {"run_id": "a", "evidence": {"run_id": "b"}},
        {"evidence": {"metrics": {"auc": "high"}}},
        {"evidence": {"training_examples": -1}},
        {"evidence": {"parent": {"model": "risk", "number": 99}}},
        {"evidence": {"parent": {"model": "nobody", "number": 1}}},
        {"evidence": {"description": "a\u0000b"}},
    ],
)
async def test_a_malformed_registration_is_refused_and_changes_nothing(door: Door, facts: dict[str, object]) -> None:
    await door.create()
    digest = await door.upload()
    marks = await door.marks()

    reply = await door.call("POST", versions(), {"digest": digest, **facts})

    assert reply.status == 422
    assert reply.is_problem
    assert await door.marks() == marks


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_a_metric_that_is_no_number_is_refused(door: Door, number: str) -> None:
    await door.create()
    body = f'{{"digest": "{await door.upload()}", "evidence": {{"metrics": {{"auc": {number}}}}}}}'

    reply = await door.call("POST", versions(), data=body.encode(), headers={"content-type": "application/json"})

    assert reply.status == 422
    assert reply.is_problem


async def test_improvement_is_computed_against_a_parent_in_another_model(door: Door) -> None:
    measured = {"validation_data_version": "holdout-1"}
    await door.create("risk")
    await door.create("risk-retail", scope="industry", industry="retail")
    await door.register("risk", evidence={"metrics": {"auc": 0.80}, **measured})
    parent = {"model": "risk", "number": 1}

    better = await door.register("risk-retail", evidence={"metrics": {"auc": 0.88}, "parent": parent, **measured})
    elsewhere = await door.register(
        "risk-retail",
        evidence={"metrics": {"auc": 0.88}, "parent": parent, "validation_data_version": "holdout-2"},
    )

    assert better["improvement"] == pytest.approx(0.1)
    assert better["improvement_reason"] is None
    assert elsewhere["improvement"] is None
    assert "other validation data" in elsewhere["improvement_reason"]


async def test_a_version_is_read_by_number_by_semver_and_as_latest(door: Door) -> None:
    await door.create()
    await door.register()
    second = await door.register()

    read = [(await door.call("GET", f"{versions()}/{name}")).expect(200) for name in ("2", "1.1.0", "v1.1.0", "latest")]

    assert read == [second] * 4


@pytest.mark.parametrize(("reference", "status"), [("7", 404), ("9.9.9", 404), ("first", 404), ("1.2", 422)])
async def test_a_version_that_is_not_there_is_a_problem(door: Door, reference: str, status: int) -> None:
    await door.create()

    reply = await door.call("GET", f"{versions()}/{reference}")

    assert reply.status == status
    assert reply.is_problem


async def test_versions_are_listed_newest_first_page_by_page(door: Door) -> None:
    await door.create()
    for _ in range(5):
        await door.register()
    numbers: list[int] = []
    query = {"page_size": "2"}

    while True:
        page = (await door.call("GET", versions(), query=query)).expect(200)
        numbers += [version["number"] for version in page["items"]]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]

    assert numbers == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("query", [{"page_size": "0"}, {"page_size": "201"}, {"page_token": "x"}, {"stage": "x"}])
async def test_a_bad_page_is_refused(door: Door, query: dict[str, str]) -> None:
    await door.create()

    assert (await door.call("GET", versions(), query=query)).status == 422


async def test_the_registered_models_of_another_project_are_not_there(door: Door) -> None:
    await door.create()
    elsewhere = Door(
        http=door.http, database=door.database, artifacts=door.artifacts, clock=door.clock, project=door.project + "-2"
    )

    for path in ("/registered-models/risk", versions(), f"{versions()}/1", "/registered-models/risk/champion"):
        assert (await elsewhere.call("GET", path)).status == 404
    assert (await elsewhere.call("POST", versions(), {"digest": digest_of(b"")})).status == 404
