"""Whatever is in a signed training event, the registry never fails on it, and a sound one of another is handled."""

import json
from dataclasses import replace
from typing import Any

import pytest
from modelyard_events.record import Record
from modelyard_events.topics import TRAINING_RUNS, topic_named
from modelyard_events.training import TrainingRunCompleted

from tests.extremes import HEADER_BYTES, documents_with_extremes, drawn, each_field_extreme, written
from tests.integration.registry.registry_world import RegistryWorld
from tests.integration.registry.relay_world import until
from tests.world.outsider import an_outsiders_event
from tests.world.registry import an_evidence
from tests.world.signing import a_registered_signer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

EACH_FIELD_STEP = 17
"""Of all fields times all extremes every so manieth is sent; reading them all is tried without a broker."""
SETTLED_WITHIN_S = 240.0


def a_run(world: RegistryWorld, digest: str) -> dict[str, Any]:
    evidence = {
        **an_evidence(),
        "parent": {"model": "base", "number": 1},
        "parameters": {"depth": 3},
        "hyperparameters": {"layers": [1, {"units": 3}]},
        "started_at": "2026-03-03T12:00:00Z",
        "tags": {"team": "risk"},
        "model_card": {"intended_use": "loans"},
        "custom_metadata": {"a": {"b": 1.5}},
    }
    return {"project": world.project, "model": "everyone", "run_id": "run", "digest": digest, "evidence": evidence}


async def test_no_extreme_event_makes_a_handler_fail_or_stops_another_sender(registry_world: RegistryWorld) -> None:
    world = registry_world
    await world.a_model("everyone")
    await world.a_model("base")
    await world.a_version("base", to_stage="development")
    digest = await world.registry.upload(b"a model")
    stranger = await a_registered_signer(world.http, project=world.project, topics=[TRAINING_RUNS.name], actor="mal")
    sound = an_outsiders_event(TrainingRunCompleted.type, a_run(world, digest), subject=f"{world.project}/everyone")

    documents = [*drawn(documents_with_extremes(a_run(world, digest))), *each_field_extreme(a_run(world, digest))]
    for number, document in enumerate(documents):
        if number < 150 or number % EACH_FIELD_STEP == 0:
            value = written(document).encode(errors="surrogatepass")
            await world.send(TRAINING_RUNS, stranger.sign(replace(sound, value=value)))
    for record in with_extreme_headers(sound):
        await world.send(TRAINING_RUNS, stranger.sign(record))
    last = {**a_run(world, digest), "run_id": "sound"}
    await world.send(TRAINING_RUNS, world.signer.sign(replace(sound, value=json.dumps(last).encode())))

    async def is_registered() -> bool:
        versions = await world.registry.items("/registered-models/everyone/versions?run_id=sound")
        return any(each["run_id"] == "sound" for each in versions)

    await until(is_registered, timeout_s=SETTLED_WITHIN_S)
    failed = [
        headers["dead_letter_detail"]
        for record in await world.records(topic_named(TRAINING_RUNS.dead_letter_name))
        if (headers := dict(record.headers))["dead_letter_reason"] == b"handler_failed"
    ]
    assert failed == []
    ready = await world.http.call("GET", "/readyz")
    assert (ready.status, ready.document["degraded"]) == (200, False)


def with_extreme_headers(sound: Record) -> list[Record]:
    """The record with each of its headers made each extreme, or with one that is not there."""
    names = [name for name, _ in sound.headers] + ["ce_correlationid", "ce_causationid", "ce_actor", "ce_traceparent"]
    return [
        replace(sound, headers=(*(each for each in sound.headers if each[0] != name), (name, raw)))
        for at, name in enumerate(names)
        for raw in HEADER_BYTES[at % 4 :: 4]
    ]
