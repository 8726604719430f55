"""Evidence that is not understood is refused by name, by HTTP and by Kafka; nothing of it is dropped or changed."""

import json
from typing import Any

import pytest
from modelyard_events.codec import Record, headers_of
from modelyard_events.envelope import Envelope
from modelyard_events.topics import TRAINING_RUNS, topic_named
from modelyard_events.training import TrainingRunCompleted
from modelyard_runtime.clock import utc_now
from modelyard_runtime.ids import new_uuid7

from tests.integration.registry.door import Door, versions
from tests.integration.registry.registry_world import RegistryWorld
from tests.integration.registry.relay_world import until

pytestmark = pytest.mark.integration

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"metric": {"rmse": 1}}, "metric"),
    ({"git_sha": "0a1b"}, "git_sha"),
    ({"metrics": {"rmse": False}}, "metrics.rmse"),
    ({"metrics": {"rmse": "4"}}, "metrics.rmse"),
    ({"metrics": {"m" * 4_000: 1}}, "metrics"),
    ({"training_examples": True}, "training_examples"),
    ({"training_examples": "8000"}, "training_examples"),
    ({"parent": {"model": "base", "number": 2**31}}, "parent.number"),
    ({"feature_schema": [{"name": "x", "datatype": "FP64"}, {"name": "x", "datatype": "INT64"}]}, "feature_schema"),
    ({"tags": {"a": "\ud800"}}, ""),
    ({"parameters": {"a": "\0"}}, ""),
]


@pytest.mark.parametrize(("evidence", "where"), REFUSED)
async def test_by_http_evidence_that_is_not_understood_is_refused_and_named(
    door: Door, evidence: dict[str, Any], where: str
) -> None:
    await door.create()
    before = await door.marks()
    digest = await door.upload()

    reply = await door.call("POST", versions(), {"digest": digest, "evidence": evidence})

    problem = reply.expect(422)
    assert f"evidence.{where}"[:200] in problem["detail"] or not where
    assert (await door.marks())[1] == before[1]


@pytest.mark.parametrize("semver", ["1.5\u0663.0", "3.1\uff10.0", "", "1", "1.0", "v", "1.0.0-rc1", "1.0.0\n"])
async def test_a_semantic_version_that_is_none_never_counts_as_not_given(door: Door, semver: str) -> None:
    await door.create()
    digest = await door.upload()

    registered = await door.call("POST", versions(), {"digest": digest, "semver": semver})
    filtered = await door.call("GET", versions(), query={"semver": semver})

    assert (registered.status, filtered.status) == (422, 422)
    assert "1.4.0" in registered.expect(422)["detail"], "it says what to send"


async def test_the_parent_with_the_highest_number_is_only_not_found(door: Door) -> None:
    await door.create()
    evidence = {"parent": {"model": "base", "number": 2**31 - 1}}

    reply = await door.call("POST", versions(), {"digest": await door.upload(), "evidence": evidence})

    assert reply.status in {404, 422}
    assert reply.is_problem


async def test_by_kafka_evidence_that_is_not_understood_is_parked_with_its_name(registry_world: RegistryWorld) -> None:
    await registry_world.a_model("everyone")
    digest = await registry_world.registry.upload(b"a model")
    run = {"project": registry_world.project, "model": "everyone", "digest": digest}
    for number, (evidence, _) in enumerate(REFUSED):
        await _report(registry_world, {**run, "run_id": f"bad-{number}", "evidence": evidence})

    async def are_parked() -> bool:
        return len(await _parked(registry_world)) == len(REFUSED)

    await until(are_parked)
    parked = await _parked(registry_world)
    assert [reason for reason, _ in parked.values() if reason == "handler_failed"] == []
    for number, (_, where) in enumerate(REFUSED):
        assert f"evidence.{where}"[:100] in parked[f"bad-{number}"][1] or not where
    assert await registry_world.registry.items("/registered-models/everyone/versions") == []


async def _report(world: RegistryWorld, document: dict[str, Any]) -> None:
    envelope = Envelope(
        id=new_uuid7(),
        source="/jobs/nightly",
        type=TrainingRunCompleted.type,
        subject=f"{world.project}/everyone",
        occurred_at=utc_now(),
    )
    value = json.dumps(document).encode()
    record = Record(key=envelope.subject.encode(), value=value, headers=headers_of(envelope))
    await world.send(TRAINING_RUNS, world.signer.sign(record))


async def _parked(world: RegistryWorld) -> dict[str, tuple[str, str]]:
    """Reason and detail of each parked run of this project, by run id."""
    parked = {}
    for record in await world.records(topic_named(TRAINING_RUNS.dead_letter_name)):
        if record.value and world.project.encode() in record.value:
            headers = dict(record.headers)
            said = headers["dead_letter_reason"].decode(), headers["dead_letter_detail"].decode()
            parked[json.loads(record.value)["run_id"]] = said
    return parked
