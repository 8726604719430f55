"""The examples speak to Kafka as any outsider would, and what they say is understood."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from modelyard_events.codec import Received, Record, decode
from modelyard_events.entities import EntityChanged
from modelyard_events.training import TrainingRunCompleted
from modelyard_examples.cloud_events import ENTITY_CHANGES, TRAINING_RUNS, open_producer, send
from modelyard_examples.fitting import FittedModel, fit
from modelyard_examples.loan_announcer import LoanAnnouncer
from modelyard_examples.loan_store import LoanStore
from modelyard_examples.loans import loan_records, read_split_loans
from modelyard_examples.publishing import publish_over_kafka
from modelyard_examples.recipes import GLOBAL_V1
from modelyard_examples.registry_client import RegistryClient
from modelyard_stack import Stack

from tests.serving import serving
from tests.unit.examples.fake_registry import TOKEN, FakeRegistry

pytestmark = pytest.mark.integration

DEADLINE_S = 30
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A record of a topic, as it lay there."""

    partition: int
    message: KafkaMessage
    record: Record


@asynccontextmanager
async def a_topic(stack: Stack, *, name: str, partitions: int = 3) -> AsyncIterator[str]:
    bootstrap = stack.addresses.kafka_bootstrap
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name=name, num_partitions=partitions, replication_factor=1)])
        yield bootstrap
        await admin.delete_topics([name])
    finally:
        await admin.close()


async def hear(bootstrap: str, *, topic: str, count: int, partitions: int = 3) -> list[Heard]:
    """The first `count` records of a topic, partition by partition in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    heard: list[Heard] = []
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
        async with asyncio.timeout(DEADLINE_S):
            while len(heard) < count:
                each = await consumer.getone()
                heard.append(
                    Heard(
                        partition=each.partition,
                        message=KafkaMessage(headers=dict(each.headers), key=each.key, value=each.value or b""),
                        record=Record(key=each.key, value=each.value, headers=tuple(each.headers)),
                    )
                )
    finally:
        await consumer.stop()
    return heard


@pytest.fixture(scope="module")
def fitted() -> FittedModel:
    return fit(GLOBAL_V1, data=read_split_loans())


async def test_an_announced_training_run_is_understood_whole(
    stack: Stack, topic_prefix: str, fitted: FittedModel
) -> None:
    registry = FakeRegistry()
    parent = {"model": "risk-scoring", "number": 1}
    topic = topic_prefix + TRAINING_RUNS

    async with (
        a_topic(stack, name=topic) as bootstrap,
        serving(registry.app()) as url,
        RegistryClient(url, token=TOKEN) as client,
        open_producer(bootstrap) as producer,
    ):
        sent = await publish_over_kafka(
            fitted,
            registry=client,
            producer=producer,
            project="default",
            run_id="run-7",
            event_id="event-7",
            occurred_at=NOW,
            topic_prefix=topic_prefix,
            change_type="patch",
            parent=parent,
        )
        (heard,) = await hear(bootstrap, topic=topic, count=1)

    received = decode(heard.record)
    assert isinstance(received, Received)
    assert isinstance(received.event, TrainingRunCompleted)
    assert (heard.record.key, received.envelope.subject) == (b"default/risk-scoring", "default/risk-scoring")
    assert (received.envelope.id, received.envelope.occurred_at) == ("event-7", NOW)
    assert (received.event.run_id, received.event.digest) == ("run-7", fitted.digest)
    assert received.event.model_dump(mode="json", exclude_unset=True) == sent.data
    assert registry.artifacts[fitted.digest] == fitted.artifact


async def test_changes_of_a_loan_are_heard_in_order_in_the_words_of_the_contract(
    stack: Stack, topic_prefix: str
) -> None:
    topic = topic_prefix + ENTITY_CHANGES
    loans = loan_records()[:20]

    with LoanStore(None) as store:
        store.fill(loans)
        async with a_topic(stack, name=topic) as bootstrap, open_producer(bootstrap) as producer:
            announcer = LoanAnnouncer(store, announce=partial(send, producer, topic=topic))
            for amount in (1, 2, 3):
                for loan in loans:
                    store.change(str(loan["id"]), {"loan_amount": amount}, event_id=str(uuid.uuid4()), changed_at=NOW)
            async with asyncio.TaskGroup() as tasks:
                for loan in loans:
                    tasks.create_task(announcer.announce_loan(str(loan["id"])))
            heard = await hear(bootstrap, topic=topic, count=60)
        left = store.list_unannounced()

    events = [received.event for each in heard if isinstance(received := decode(each.record), Received)]
    for loan in loans:
        versions = [
            (event.tenant, event.entity_type, event.version, event.changed_fields)
            for event in events
            if isinstance(event, EntityChanged) and event.entity_id == loan["id"]
        ]
        assert versions == [(loan["state"], "loan", version, ("loan_amount",)) for version in (2, 3, 4)]
    assert left == []


async def test_the_cloudevents_package_reads_what_the_examples_write(stack: Stack, topic_prefix: str) -> None:
    topic = topic_prefix + ENTITY_CHANGES

    with LoanStore(None) as store:
        store.fill(loan_records()[:1])
        async with a_topic(stack, name=topic) as bootstrap, open_producer(bootstrap) as producer:
            (loan,) = store.list_loans(purpose=None, limit=1)
            store.change(loan.id, {"loan_amount": 7}, event_id="event-1", changed_at=NOW)
            await LoanAnnouncer(store, announce=partial(send, producer, topic=topic)).announce_loan(loan.id)
            (heard,) = await hear(bootstrap, topic=topic, count=1)

    event = from_kafka_event(heard.message)
    assert (event.get_id(), event.get_type(), event.get_time()) == ("event-1", "entity.changed.v1", NOW)
    assert event.get_subject() == f"{loan.state}/loan/{loan.id}"
    data = event.get_data()
    assert isinstance(data, dict)
    assert data["version"] == 2
