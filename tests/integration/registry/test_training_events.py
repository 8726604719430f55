"""Training runs that are reported on Kafka: registered once, or parked with the reason."""

import pytest
from modelyard_events.reported import ReportedEvidence
from modelyard_events.topics import TRAINING_RUNS, topic_named
from modelyard_events.training import TrainingRunCompleted

from tests.integration.registry.registry_world import SENDER, RegistryWorld
from tests.integration.registry.relay_world import until

pytestmark = pytest.mark.integration

SOURCE = "/jobs/nightly"


async def test_a_run_that_is_reported_three_times_registers_one_version(registry_world: RegistryWorld) -> None:
    await registry_world.a_model("everyone")
    digest = await registry_world.registry.upload(b"a model")
    run = _a_run(registry_world, digest=digest, run_id="run-1")
    for _ in range(3):
        await _report(registry_world, run)
    await _report(registry_world, _a_run(registry_world, digest=digest, run_id="run-2"))

    await until(lambda: _has_versions(registry_world, 2))

    versions = await registry_world.registry.items("/registered-models/everyone/versions")
    assert [each["run_id"] for each in versions] == ["run-2", "run-1"]
    assert versions[0]["created_by"] == f"*/{SENDER}"
    assert versions[0]["evidence"]["metrics"] == {"rmse": 3.5}


async def test_a_run_that_is_refused_is_parked_with_the_reason_and_the_others_go_on(
    registry_world: RegistryWorld,
) -> None:
    await registry_world.a_model("everyone")
    digest = await registry_world.registry.upload(b"a model")
    refused = {
        "registered_model_not_found": _a_run(registry_world, digest=digest, run_id="no-model", model="nobody"),
        "project_not_found": _a_run(
            registry_world, digest=digest, run_id="no-project", project=f"{registry_world.project}x"
        ),
        "artifact_not_uploaded": _a_run(registry_world, digest=f"sha256:{'0' * 64}", run_id="no-bytes"),
    }
    await _report(registry_world, _a_run(registry_world, digest=digest, run_id="before"))
    for run in refused.values():
        await _report(registry_world, run)
    await _report(registry_world, _a_run(registry_world, digest=digest, run_id="after"))

    await until(lambda: _has_versions(registry_world, 2))

    async def are_parked() -> bool:
        return await _parked(registry_world) == {run.run_id: reason for reason, run in refused.items()}

    await until(are_parked)
    versions = await registry_world.registry.items("/registered-models/everyone/versions")
    assert {each["run_id"] for each in versions} == {"before", "after"}


async def test_the_stored_offset_passes_everything_that_was_settled(registry_world: RegistryWorld) -> None:
    await registry_world.a_model("everyone")
    digest = await registry_world.registry.upload(b"a model")
    await registry_world.producer.send_and_wait(f"{registry_world.prefix}{TRAINING_RUNS.name}", b"nonsense")
    await _report(registry_world, _a_run(registry_world, digest=digest, run_id="run-1"))
    await _report(registry_world, _a_run(registry_world, digest=digest, run_id="bad", model="nobody"))

    async def are_passed() -> bool:
        records = len(await registry_world.records(TRAINING_RUNS))
        stored = await registry_world.fetch_value(
            f"SELECT sum(next_offset) FROM consumer_offsets WHERE topic = '{registry_world.prefix}{TRAINING_RUNS.name}'"
        )
        return bool(stored == records)

    await until(are_passed)


def _a_run(
    world: RegistryWorld, *, digest: str, run_id: str, model: str = "everyone", project: str | None = None
) -> TrainingRunCompleted:
    return TrainingRunCompleted(
        project=project or world.project,
        model=model,
        run_id=run_id,
        digest=digest,
        evidence=ReportedEvidence(metrics={"rmse": 3.5}, training_examples=100),
    )


async def _report(world: RegistryWorld, run: TrainingRunCompleted) -> None:
    await world.say(TRAINING_RUNS, run, source=SOURCE, key=f"{run.project}/{run.model}")


async def _has_versions(world: RegistryWorld, count: int) -> bool:
    return len(await world.registry.items("/registered-models/everyone/versions")) == count


async def _parked(world: RegistryWorld) -> dict[str, str]:
    """The reason of each parked run of this project, by run id."""
    parked = {}
    for record in await world.records(topic_named(TRAINING_RUNS.dead_letter_name)):
        if record.value and world.project.encode() in record.value:
            run = TrainingRunCompleted.model_validate_json(record.value)
            parked[run.run_id] = dict(record.headers)["dead_letter_reason"].decode()
    return parked
