"""The two ways in which a training job publishes what it made: through HTTP, or with an event on Kafka.

Either way the artifact is uploaded first, under its own digest. Through HTTP the job registers the version
and learns its number at once. With an event it only says that its run has completed; the registry registers the
version when it reads that, once, however often the event arrives.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from aiokafka import AIOKafkaProducer

from modelyard_examples.cloud_events import TRAINING_RUNS, CloudEvent, send
from modelyard_examples.fitting import FittedModel, evidence_of
from modelyard_examples.registry_client import Document, RegistryClient
from modelyard_examples.signing import SenderKey

TRAINING_JOB_ID = "loans-nightly"
SOURCE = "urn:lending:training"

Progress = Callable[[str], None]
"""Is told what the job is doing, in a few words."""


def say_nothing(_step: str) -> None:
    """The progress callback of those who do not want to know."""


async def publish_over_http(
    fitted: FittedModel,
    *,
    registry: RegistryClient,
    run_id: str,
    change_type: str | None = None,
    parent: Mapping[str, object] | None = None,
    on_progress: Progress = say_nothing,
) -> Document:
    """Upload the artifact and register the version; answers the version as the registry has it.

    `parent` is {"model": name, "number": n}. The registered model is created when it is not there yet.
    A second call with the same `run_id` answers the same version.
    """
    await _upload(fitted, registry=registry, on_progress=on_progress)
    on_progress(f"registering a version of {fitted.recipe.model}")
    return await registry.register_version(
        fitted.recipe.model, _registration(fitted, run_id=run_id, change_type=change_type, parent=parent)
    )


async def publish_over_kafka(
    fitted: FittedModel,
    *,
    registry: RegistryClient,
    producer: AIOKafkaProducer,
    project: str,
    run_id: str,
    event_id: str,
    occurred_at: datetime,
    signing_key: SenderKey | None = None,
    topic_prefix: str = "",
    change_type: str | None = None,
    parent: Mapping[str, object] | None = None,
    on_progress: Progress = say_nothing,
) -> CloudEvent:
    """Upload the artifact and announce the run with `training_run.completed`; answers the event.

    Without a `signing_key` only a registry takes it whose broker keeps other projects' producers from the topic.
    When this returns the broker has the event; the registry registers the version soon after.
    """
    await _upload(fitted, registry=registry, on_progress=on_progress)
    on_progress(f"announcing run {run_id} on Kafka")
    registration = _registration(fitted, run_id=run_id, change_type=change_type, parent=parent)
    event = training_run_completed(
        {"project": project, "model": fitted.recipe.model, **registration},
        event_id=event_id,
        occurred_at=occurred_at,
    )
    await send(producer, event, topic=topic_prefix + TRAINING_RUNS, signing_key=signing_key)
    return event


def training_run_completed(data: Mapping[str, object], *, event_id: str, occurred_at: datetime) -> CloudEvent:
    """The event that a training run has completed; its subject, and so its key, is project/model."""
    return CloudEvent(
        id=event_id,
        source=SOURCE,
        type="training_run.completed.v1",
        subject=f"{data['project']}/{data['model']}",
        time=occurred_at,
        data=data,
    )


async def _upload(fitted: FittedModel, *, registry: RegistryClient, on_progress: Progress) -> None:
    if await registry.create_registered_model(fitted.recipe.registered_model()):
        on_progress(f"created the registered model {fitted.recipe.model}")
    on_progress(f"uploading {len(fitted.artifact):,} bytes, {fitted.digest[:19]}…")
    await registry.upload_artifact(fitted.digest, fitted.artifact)


def _registration(
    fitted: FittedModel, *, run_id: str, change_type: str | None, parent: Mapping[str, object] | None
) -> dict[str, object]:
    registration: dict[str, object] = {
        "run_id": run_id,
        "digest": fitted.digest,
        "evidence": evidence_of(fitted, run_id=run_id, training_job_id=TRAINING_JOB_ID, parent=parent),
    }
    return registration | ({"change_type": change_type} if change_type else {})
