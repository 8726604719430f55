"""Outsiders who know Kafka alone sign with keys of their own, and whoever forges their events achieves nothing."""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord
from modelyard_events.entities import EntityChanged
from modelyard_events.topics import ENTITY_CHANGES, topic_named
from modelyard_events.training import TrainingRunCompleted
from modelyard_examples import signing
from modelyard_examples.cloud_events import CloudEvent, send

from tests.world.lending import INDUSTRY_MODEL, Lending
from tests.world.outsider import an_outsiders_event
from tests.world.registry import an_evidence
from tests.world.waiting import until
from tests.world.world import ENTITY_TYPE

pytestmark = [pytest.mark.integration, pytest.mark.e2e]


async def a_key(lending: Lending, file: Path, *, topic: str, project: str) -> signing.SenderKey:
    """A key as an outsider gets one: by the command line, with the token of whoever manages access."""
    system = lending.world.system
    exit_code = await asyncio.to_thread(
        signing.main,
        [
            *(str(file), "--topic", topic, "--project", project, "--actor", "outsider"),
            *("--registry", system.service("registry").url, "--token", system.tokens["ada"]),
        ],
    )
    assert exit_code == 0
    return signing.read_signing_key(file)


def an_event(kind: str, data: Mapping[str, object], *, subject: str) -> CloudEvent:
    return CloudEvent(
        id=str(uuid.uuid4()), source="urn:test:outsider", type=kind, subject=subject, time=datetime.now(UTC), data=data
    )


async def test_a_training_job_that_knows_only_kafka_registers_in_its_own_name(lending: Lending, tmp_path: Path) -> None:
    topic = topic_named("training-runs.v1")
    key = await a_key(lending, tmp_path / "key.json", topic=topic.name, project=lending.project)
    digest = await lending.registry.upload(lending.artifact(INDUSTRY_MODEL, "signed"))
    data = {
        "project": lending.project,
        "model": INDUSTRY_MODEL,
        "run_id": "signed",
        "digest": digest,
        "evidence": an_evidence(),
    }
    event = an_event(TrainingRunCompleted.type, data, subject=f"{lending.project}/{INDUSTRY_MODEL}")

    await send(lending.world.producer, event, topic=lending.world.topics.prefix + topic.name, signing_key=key)

    versions = await until(
        lambda: lending.registry.items(f"/registered-models/{INDUSTRY_MODEL}/versions"),
        lambda found: any(each["run_id"] == "signed" for each in found),
    )
    assert {each["created_by"] for each in versions if each["run_id"] == "signed"} == {f"{lending.project}/outsider"}


async def test_a_forged_change_leaves_the_prediction_and_a_signed_one_purges_it(
    lending: Lending, tmp_path: Path
) -> None:
    key = await a_key(lending, tmp_path / "key.json", topic=ENTITY_CHANGES.name, project="*")
    subject = f"{lending.tenant}/{ENTITY_TYPE}/loan-1"
    data: dict[str, object] = {"tenant": lending.tenant, "entity_type": ENTITY_TYPE, "entity_id": "loan-1"}
    await lending.predict("loan-1")

    forged = an_outsiders_event(EntityChanged.type, data, subject=subject)
    await lending.world.send_as_it_is(ENTITY_CHANGES, forged)

    async def parked() -> list[ConsumerRecord]:
        records = await lending.world.topics.records(topic_named(ENTITY_CHANGES.dead_letter_name))
        return [record for record in records if record.key == subject.encode()]

    (record,) = await until(parked, lambda found: bool(found))
    assert dict(record.headers)["dead_letter_reason"] == b"sender_unproved"
    assert (await lending.predict("loan-1")).cache == "hit"

    version = lending.world.models.change("loan-1", tenant=lending.tenant)
    event = an_event(EntityChanged.type, {**data, "version": version}, subject=subject)
    prefix = lending.world.topics.prefix
    await send(lending.world.producer, event, topic=prefix + ENTITY_CHANGES.name, signing_key=key)
    await lending.purge_of("loan-1", version=version)
    assert (await lending.predict("loan-1")).version_read == version
