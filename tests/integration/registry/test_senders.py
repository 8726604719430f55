"""Training runs prove who sent them: whatever is forged is parked with its reason, and registers nothing."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modelyard_events.codec import Record
from modelyard_events.topics import AUDIT_LOG, ENTITY_CHANGES, TRAINING_RUNS, topic_named
from modelyard_events.training import TrainingRunCompleted

from tests.integration.registry.registry_world import RegistryWorld
from tests.integration.registry.relay_world import until
from tests.world.outsider import an_outsiders_event
from tests.world.registry import an_evidence
from tests.world.signing import SIGNING_KEYS, a_registered_signer, a_signer

pytestmark = pytest.mark.integration

Document = dict[str, Any]


async def a_run(world: RegistryWorld, run_id: str, *, structured: bool = False) -> Record:
    """An event of a run whose artifact is there, not signed yet."""
    digest = await world.registry.upload(b"a model")
    data = {
        "project": world.project,
        "model": "everyone",
        "run_id": run_id,
        "digest": digest,
        "evidence": an_evidence(),
    }
    subject = f"{world.project}/everyone"
    return an_outsiders_event(TrainingRunCompleted.type, data, subject=subject, structured=structured)


async def versions(world: RegistryWorld) -> list[Document]:
    return await world.registry.items("/registered-models/everyone/versions")


async def parked(world: RegistryWorld) -> list[tuple[bytes, str]]:
    """What was parked of this project: the bytes, and the reason."""
    return [
        (record.value, dict(record.headers)["dead_letter_reason"].decode())
        for record in await world.records(topic_named(TRAINING_RUNS.dead_letter_name))
        if (record.key or b"").startswith(world.project.encode())
    ]


async def settled(world: RegistryWorld, *, run_id: str) -> list[Document]:
    """The versions once a run that was sent last is among them: what came before it is settled then."""

    async def has_come() -> bool:
        return any(version["run_id"] == run_id for version in await versions(world))

    await until(has_come)
    return await versions(world)


@pytest.mark.parametrize("structured", [False, True])
async def test_a_signed_run_registers_a_version_in_the_signers_name(
    registry_world: RegistryWorld, structured: bool
) -> None:
    await registry_world.a_model("everyone")
    signer = await a_registered_signer(
        registry_world.http, project=registry_world.project, topics=[TRAINING_RUNS.name], actor="bank-training"
    )

    await registry_world.send(TRAINING_RUNS, signer.sign(await a_run(registry_world, "run-1", structured=structured)))

    (version,) = await settled(registry_world, run_id="run-1")
    acts_as = f"{registry_world.project}/bank-training"
    assert version["created_by"] == acts_as
    entries = await registry_world.registry.items("/audit-entries?action=model_version.registered")
    assert [(each["actor"], each["after"]["source"]) for each in entries] == [(acts_as, "urn:test:outsider")]


async def test_a_signed_run_that_is_sent_again_by_whomever_changes_nothing(registry_world: RegistryWorld) -> None:
    await registry_world.a_model("everyone")
    record = registry_world.signer.sign(await a_run(registry_world, "run-1"))

    for _ in range(3):
        await registry_world.send(TRAINING_RUNS, record)
    await registry_world.send(TRAINING_RUNS, registry_world.signer.sign(await a_run(registry_world, "run-2")))

    assert [each["run_id"] for each in await settled(registry_world, run_id="run-2")] == ["run-2", "run-1"]
    assert await parked(registry_world) == []


def unsigned(record: Record) -> Record:
    return record


def by_an_unknown_key(record: Record) -> Record:
    return a_signer(str(uuid.uuid4())).sign(record)


def by_a_key_id_that_is_none(record: Record) -> Record:
    return a_signer("' OR true --").sign(record)


FORGERIES: list[Callable[[Record], Record]] = [unsigned, by_an_unknown_key, by_a_key_id_that_is_none]


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("forge", FORGERIES)
async def test_a_run_that_nobody_proved_is_parked_and_the_others_go_on(
    registry_world: RegistryWorld, forge: Callable[[Record], Record], structured: bool
) -> None:
    await registry_world.a_model("everyone")
    forged = forge(await a_run(registry_world, "forged", structured=structured))

    await registry_world.send(TRAINING_RUNS, forged)
    await registry_world.send(TRAINING_RUNS, registry_world.signer.sign(await a_run(registry_world, "sound")))

    assert [each["run_id"] for each in await settled(registry_world, run_id="sound")] == ["sound"]
    assert await parked(registry_world) == [(forged.value, "sender_unproved")]


async def test_a_proof_that_was_copied_from_another_run_proves_nothing(registry_world: RegistryWorld) -> None:
    await registry_world.a_model("everyone")
    genuine = registry_world.signer.sign(await a_run(registry_world, "genuine"))
    forged = await a_run(registry_world, "forged")
    proof = tuple(each for each in genuine.headers if each[0].startswith("modelyard_"))
    doubled = replace(genuine, headers=(*genuine.headers, ("ce_type", b"training_run.completed.v1")))

    await registry_world.send(TRAINING_RUNS, replace(forged, headers=(*forged.headers, *proof)))
    await registry_world.send(TRAINING_RUNS, doubled)
    await registry_world.send(TRAINING_RUNS, genuine)

    assert [each["run_id"] for each in await settled(registry_world, run_id="genuine")] == ["genuine"]
    assert await parked(registry_world) == [
        (forged.value, "sender_unproved"),
        (genuine.value, "sender_unproved"),
    ]


async def test_a_run_of_a_known_key_that_may_not_is_parked_and_on_record(registry_world: RegistryWorld) -> None:
    await registry_world.a_model("everyone")
    http, project = registry_world.http, registry_world.project
    holders = {
        "of-another-project": await a_registered_signer(
            http, project="shop", topics=[TRAINING_RUNS.name], actor="of-another-project"
        ),
        "of-another-topic": await a_registered_signer(
            http, project=project, topics=[ENTITY_CHANGES.name], tenants=["CA"], actor="of-another-topic"
        ),
        "revoked": await a_registered_signer(http, project=project, topics=[TRAINING_RUNS.name], actor="revoked"),
        "expired": await a_registered_signer(
            http,
            project=project,
            topics=[TRAINING_RUNS.name],
            actor="expired",
            expires_at=datetime.now(UTC) + timedelta(seconds=1),
        ),
    }
    (await http.call("DELETE", f"{SIGNING_KEYS}/{holders['revoked'].key_id}")).expect(200)

    async def has_expired() -> bool:
        key = (await http.call("GET", f"{SIGNING_KEYS}/{holders['expired'].key_id}")).expect(200)
        return datetime.fromisoformat(key["expires_at"]) < datetime.now(UTC)

    await until(has_expired)
    for actor, signer in holders.items():
        await registry_world.send(TRAINING_RUNS, signer.sign(await a_run(registry_world, actor)))
    await registry_world.send(TRAINING_RUNS, registry_world.signer.sign(await a_run(registry_world, "sound")))

    assert [each["run_id"] for each in await settled(registry_world, run_id="sound")] == ["sound"]
    assert [reason for _, reason in await parked(registry_world)] == ["sender_not_permitted"] * len(holders)
    entries = await registry_world.registry.items("/audit-entries?action=versions.register.refused")
    owners = {actor: "shop" if actor == "of-another-project" else project for actor in holders}
    acting = {f"{owner}/{actor}" for actor, owner in owners.items()}
    assert {each["actor"] for each in entries} == acting
    assert all(each["subject"].startswith("access/signing-keys/") for each in entries)

    async def is_told() -> bool:
        told = [each.event for each in await registry_world.read(AUDIT_LOG)]
        return {getattr(each, "actor", "") for each in told} >= acting

    await until(is_told)


async def test_a_flood_of_a_known_key_that_may_not_stops_nobody_else(registry_world: RegistryWorld) -> None:
    await registry_world.a_model("everyone")
    stranger = await a_registered_signer(
        registry_world.http, project="shop", topics=[TRAINING_RUNS.name], actor=f"flood-{registry_world.project}"
    )
    record = stranger.sign(await a_run(registry_world, "forged"))

    for _ in range(50):
        await registry_world.send(TRAINING_RUNS, record)
    await registry_world.send(TRAINING_RUNS, registry_world.signer.sign(await a_run(registry_world, "sound")))

    assert [each["run_id"] for each in await settled(registry_world, run_id="sound")] == ["sound"]
    entries = await registry_world.registry.items("/audit-entries?action=versions.register.refused")
    assert len(entries) == 1
