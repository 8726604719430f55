"""Everything that the registry does with Kafka: topics, then the relay and the consumers, each for ever.

The HTTP door does not wait for any of it: while the broker is away, writes are accepted and facts wait in
the outbox.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import structlog
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker
from modelyard_events.topics import (
    ACCESS_REFUSALS,
    CACHE_INVALIDATIONS,
    INFERENCES,
    SHADOW_COMPARISONS,
    TRAINING_RUNS,
    Kind,
    Topic,
)
from modelyard_runtime.clock import Clock
from modelyard_runtime.consume import BatchHandler, Consumption, DeadLetters, Senders, build_broker, consume_batches
from modelyard_runtime.health import HealthCheck
from modelyard_runtime.publish import build_producer
from modelyard_runtime.topic_setup import ensure_topics

from modelyard_registry.access.refusals import Refusals
from modelyard_registry.audit.service_reports.handlers import ServiceReports
from modelyard_registry.inbox.offsets import stored_offsets
from modelyard_registry.inbox.pruning import Pruning
from modelyard_registry.outbox.relay import Relay
from modelyard_registry.registration.training_events import TrainingRuns
from modelyard_registry.scoreboard.handlers import Scoreboard
from modelyard_registry.settings import Settings
from modelyard_registry.signing_keys.senders import SigningKeyTable, recorded_senders
from modelyard_registry.transactions import UnitOfWork
from modelyard_registry.transactions.database import Database, DatabaseUnavailableError

GROUP = "modelyard-registry"
CLIENT_ID = "modelyard-registry"
RETRY_S = 1.0

START_ERRORS = (KafkaError, OSError, TimeoutError, DatabaseUnavailableError)

log = structlog.get_logger()


class KafkaSide:
    """Runs beside the HTTP server. Healthy when the topics are there and every consumer has caught up."""

    def __init__(
        self,
        settings: Settings,
        *,
        database: Database,
        unit_of_work: UnitOfWork,
        relay: Relay,
        refusals: Refusals,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._database = database
        self._relay = relay
        self._clock = clock
        self._refusals = refusals
        self._signing_keys = SigningKeyTable(database)
        self._pruning = Pruning(database, clock=clock)
        # A group for each topic: members of one group stop each other whenever one of them comes or goes.
        training = f"{settings.topic_prefix}{GROUP}-training"
        scoreboard = f"{settings.topic_prefix}{GROUP}-scoreboard"
        shadows = f"{settings.topic_prefix}{GROUP}-shadows"
        refused = f"{settings.topic_prefix}{GROUP}-refusals"
        purges = f"{settings.topic_prefix}{GROUP}-purges"
        self._arrows: Sequence[tuple[Topic, str, BatchHandler]] = (
            (TRAINING_RUNS, training, TrainingRuns(unit_of_work, group=training).on_batch),
            (INFERENCES, scoreboard, Scoreboard(unit_of_work, group=scoreboard).on_inferences),
            (SHADOW_COMPARISONS, shadows, Scoreboard(unit_of_work, group=shadows).on_comparisons),
            (ACCESS_REFUSALS, refused, ServiceReports(unit_of_work, group=refused).on_refusals),
            (CACHE_INVALIDATIONS, purges, ServiceReports(unit_of_work, group=purges).on_purges),
        )
        self._consumptions: Sequence[Consumption] = ()
        self._trouble = "the topics are not checked yet"

    def check(self) -> HealthCheck:
        """Healthy when every consumer does its work; the detail names the one that does not.

        A held partition needs a person, but the API works without it.
        """
        checks = [_degraded_when_held(each) for each in self._consumptions]
        troubles = [f"{each.name}: {each.detail}" for each in checks if not each.ok or each.degraded]
        detail = self._trouble or "; ".join(troubles)
        return HealthCheck(
            name="consumers",
            ok=not self._trouble and all(each.ok for each in checks),
            degraded=any(each.degraded for each in checks),
            detail=detail or "caught up",
        )

    async def run(self) -> None:
        """Work until cancelled. Raises TopicMismatchError when the broker's topics are not the catalogue's."""
        await self._await_topics()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relay.run())
            group.create_task(self._consume())
            group.create_task(self._pruning.run())

    async def _await_topics(self) -> None:
        while True:
            try:
                await ensure_topics(kafka=self._settings.kafka, prefix=self._settings.topic_prefix)
                return
            except (KafkaError, OSError, TimeoutError) as error:
                self._trouble = f"the broker does not answer: {error!r}"
                log.warning("topics_not_checked", error=repr(error))
            await asyncio.sleep(RETRY_S)

    async def _consume(self) -> None:
        """A start needs broker and database; once started, the consumers wait out their absence themselves."""
        while True:
            try:
                async with AsyncExitStack() as opened:
                    await self._start(opened)
                    await asyncio.Event().wait()
            except START_ERRORS as error:
                self._trouble = f"the consumers did not start: {error!r}"
                log.warning("consumers_not_started", error=repr(error))
            await asyncio.sleep(RETRY_S)

    async def _start(self, opened: AsyncExitStack) -> None:
        producer = build_producer(kafka=self._settings.kafka, client_id=CLIENT_ID)
        opened.push_async_callback(producer.stop)
        await producer.start()
        broker = build_broker(kafka=self._settings.kafka, client_id=CLIENT_ID)
        dead_letters = DeadLetters(producer)
        consumptions = [
            self._subscribe(broker, topic, on_batch, group=group, dead_letters=dead_letters)
            for topic, group, on_batch in self._arrows
        ]
        opened.push_async_callback(broker.stop)
        await broker.start()
        self._consumptions, self._trouble = consumptions, ""

    def _subscribe(
        self,
        broker: KafkaBroker,
        topic: Topic,
        on_batch: BatchHandler,
        *,
        group: str,
        dead_letters: DeadLetters,
    ) -> Consumption:
        return consume_batches(
            broker,
            topic,
            prefix=self._settings.topic_prefix,
            group=group,
            on_batch=on_batch,
            start_offsets=stored_offsets(self._database, group=group),
            dead_letters=dead_letters,
            clock=self._clock,
            senders=self._senders_of(topic),
        )

    def _senders_of(self, topic: Topic) -> Senders | None:
        if topic.kind is not Kind.INGEST:
            return None
        return recorded_senders(
            topic,
            keys=self._signing_keys,
            refusals=self._refusals,
            ingest_projects=self._settings.ingest_projects,
            clock=self._clock,
        )


def _degraded_when_held(consumption: Consumption) -> HealthCheck:
    said = consumption.check()
    return replace(said, ok=said.ok or consumption.is_held)
