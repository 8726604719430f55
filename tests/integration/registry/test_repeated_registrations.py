"""A run that registers its artifact again: the same values answer the first version, other values are refused."""

import asyncio

import pytest
from modelyard_events.reported import ReportedEvidence
from modelyard_events.topics import TRAINING_RUNS, topic_named
from modelyard_events.training import TrainingRunCompleted

from tests.integration.registry.door import Document, Door, versions
from tests.integration.registry.registry_world import RegistryWorld
from tests.integration.registry.relay_world import until

pytestmark = pytest.mark.integration

EVIDENCE: Document = {
    "metrics": {"auc": 0.9, "count": 1},
    "hyperparameters": {"layers": [64, 32], "rate": 1e-7},
    "completed_at": "2026-03-03T12:00:00Z",
    "tags": {"team": "risk"},
}
BY_THE_FRAMEWORK = {"content-type": "application/json; charset=utf-8"}
"""The fast path leaves such a request to the operation behind it."""


@pytest.mark.parametrize("headers", [{}, BY_THE_FRAMEWORK], ids=["fast path", "operation"])
async def test_other_values_are_refused_by_both_ways_in(door: Door, headers: dict[str, str]) -> None:
    await door.create()
    run = {"digest": await door.upload(), "run_id": "run-1"}
    first = await door.register(**run, evidence=EVIDENCE)
    respelled = {**EVIDENCE, "metrics": {"count": 1.0, "auc": 0.9}, "completed_at": "2026-03-03T13:00:00+01:00"}
    changed = {**EVIDENCE, "metrics": {"auc": 0.95, "count": 1}}

    same = await door.call("POST", versions(), {**run, "evidence": respelled}, headers=headers)
    other = await door.call("POST", versions(), {**run, "evidence": changed, "semver": "2.0.0"}, headers=headers)

    assert (same.status, same.document) == (200, first)
    refused = other.expect(409)
    assert refused["type"] == "/problems/version-exists"
    assert refused["differs"] == ["semver", "evidence.metrics.auc"]
    assert (refused["version"], refused["semver"]) == (1, "1.0.0")
    assert [each["number"] for each in (await door.call("GET", versions())).expect(200)["items"]] == [1]
    assert "model_version.registered.refused" in await door.actions()


async def test_a_change_type_is_compared_with_the_step_that_the_version_took(door: Door) -> None:
    await door.create()
    digest = await door.upload()
    await door.register(semver="1.4.0", run_id="run-1")
    await door.register(change_type="patch", run_id="run-2")
    await door.register(semver="3.0.0", run_id="run-3")

    async def again(change_type: str) -> int:
        run = {"digest": digest, "run_id": "run-2", "change_type": change_type}
        return (await door.call("POST", versions(), run)).status

    assert [await again(each) for each in ("patch", "minor", "major")] == [200, 409, 409]


async def test_one_of_two_that_come_at_once_with_other_values_is_refused(door: Door) -> None:
    await door.create()
    run = {"digest": await door.upload(), "run_id": "run-1"}

    replies = await asyncio.gather(
        *(door.call("POST", versions(), {**run, "evidence": {"metrics": {"auc": auc}}}) for auc in (0.8, 0.9))
    )

    assert sorted(reply.status for reply in replies) == [201, 409]


async def test_a_key_that_comes_again_answers_what_it_answered(door: Door) -> None:
    await door.create()
    run = {"digest": await door.upload(), "run_id": "run-1", "evidence": EVIDENCE}
    key = {"idempotency-key": "k-1"}
    first = await door.call("POST", versions(), run, headers=key)

    again = await door.call("POST", versions(), run, headers=key)

    assert (again.status, again.document) == (201, first.document)


async def test_the_compatible_api_refuses_other_values(door: Door) -> None:
    digest = await door.upload()
    body = {"project_id": door.project, "name": "risk", "version": "1.0.0", "digest": digest, "run_id": "run-1"}
    (await door.http.call("POST", "/api/v1/models/register", {**body, "algorithm": "gbt"})).expect(201)

    same = await door.http.call("POST", "/api/v1/models/register", {**body, "algorithm": "gbt"})
    other = await door.http.call("POST", "/api/v1/models/register", {**body, "algorithm": "forest", "version": "2.0.0"})

    assert same.status == 201
    assert other.expect(409)["differs"] == ["semver", "evidence.algorithm"]


async def test_a_reported_run_with_other_values_is_dead_lettered_with_the_reason(registry_world: RegistryWorld) -> None:
    await registry_world.a_model("everyone")
    digest = await registry_world.registry.upload(b"a model")
    runs = [_a_run(registry_world, digest=digest, rmse=rmse) for rmse in (3.5, 3.5, 3.6)]
    for run in runs:
        await registry_world.say(TRAINING_RUNS, run, source="/jobs/nightly", key=f"{run.project}/{run.model}")

    async def reasons() -> list[tuple[str, float]]:
        records = await registry_world.records(topic_named(TRAINING_RUNS.dead_letter_name))
        return [
            (
                dict(record.headers)["dead_letter_reason"].decode(),
                TrainingRunCompleted.model_validate_json(record.value).evidence.metrics["rmse"],
            )
            for record in records
            if record.value and registry_world.project.encode() in record.value
        ]

    async def is_dead_lettered() -> bool:
        return await reasons() == [("version_exists", 3.6)]

    await until(is_dead_lettered)
    (version,) = await registry_world.registry.items("/registered-models/everyone/versions")
    assert version["evidence"]["metrics"] == {"rmse": 3.5}


def _a_run(world: RegistryWorld, *, digest: str, rmse: float) -> TrainingRunCompleted:
    return TrainingRunCompleted(
        project=world.project,
        model="everyone",
        run_id="run-1",
        digest=digest,
        evidence=ReportedEvidence(metrics={"rmse": rmse}),
    )
