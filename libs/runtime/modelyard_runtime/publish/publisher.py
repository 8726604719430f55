"""Publishing: one producer setting for all, and events whose acknowledgement is awaited."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from modelyard_events.codec import encode
from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.limits import RECORD_BYTES_MAX
from modelyard_events.record import Record, batch_bytes
from modelyard_events.topics import Topic

from modelyard_runtime.clock import Clock
from modelyard_runtime.errors import EventTooLargeError, PublishFailedError, PublishUnclearError
from modelyard_runtime.ids import NewId
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.publish.replaceable_producer import REFUSALS, UNCLEAR, ReplaceableProducer

REQUEST_BYTES_MAX = 2 * 1_024 * 1_024
"""Twice what a topic takes by default, so that the largest record still fits with a dead letter's headers."""
RETRY_BACKOFF_MS = 100


def build_producer(*, kafka: KafkaConnection, client_id: str, linger_ms: int = 2) -> ReplaceableProducer:
    """A producer that is idempotent, waits for all replicas, and goes on after a refusal.

    Whoever builds it starts and stops it. Needs a running event loop. With idempotence a record that was handed
    over is sent until the broker answers: a deadline is the caller's (`Publisher` has one).
    """
    return ReplaceableProducer(lambda: build_single_producer(kafka=kafka, client_id=client_id, linger_ms=linger_ms))


def build_single_producer(
    *,
    kafka: KafkaConnection,
    client_id: str,
    linger_ms: int,
    batch_bytes_max: int = 256 * 1_024,
    request_timeout_ms: int = 30_000,
    metadata_age_ms_max: int = 60_000,
) -> AIOKafkaProducer:
    """The same for whoever replaces it themselves: after one refusal it sends nothing more to that partition."""
    return AIOKafkaProducer(
        **kafka.client_options(),
        client_id=client_id,
        enable_idempotence=True,
        acks="all",
        compression_type=None,
        linger_ms=linger_ms,
        max_batch_size=batch_bytes_max,
        max_request_size=REQUEST_BYTES_MAX,
        request_timeout_ms=request_timeout_ms,
        retry_backoff_ms=RETRY_BACKOFF_MS,
        metadata_max_age_ms=metadata_age_ms_max,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """An event about `key`, and the story that it belongs to."""

    event: Event
    key: str
    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str | None = None
    traceparent: str | None = None


class Publisher:
    """Publishes events of one source, awaited until the broker has them.

    `source` is the CloudEvents source, such as `/modelyard/shadow-worker`.
    """

    def __init__(
        self,
        producer: ReplaceableProducer,
        *,
        source: str,
        prefix: str,
        clock: Clock,
        new_id: NewId,
        timeout_s: float = 30.0,
    ) -> None:
        self._producer = producer
        self._source = source
        self._prefix = prefix
        self._clock = clock
        self._new_id = new_id
        self._timeout_s = timeout_s

    async def publish(
        self,
        topic: Topic,
        event: Event,
        *,
        key: str,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        actor: str | None = None,
        traceparent: str | None = None,
    ) -> Envelope:
        """Publish one event about `key` and wait for the acknowledgement; returns its envelope.

        Raises PublishFailedError (transient) when the broker did not acknowledge in time: the event may
        be stored all the same, and publishing it again makes a second one. Raises EventTooLargeError when no
        broker would take it or this one refused it, and PublishUnclearError when the broker did not say why.
        """
        publication = Publication(
            event=event,
            key=key,
            correlation_id=correlation_id,
            causation_id=causation_id,
            actor=actor,
            traceparent=traceparent,
        )
        (envelope,) = await self.publish_all(topic, [publication])
        return envelope

    async def publish_all(self, topic: Topic, publications: Sequence[Publication]) -> list[Envelope]:
        """Publish events in order and wait until the broker has all of them; returns their envelopes.

        Raises as `publish` does when one of them failed; others may be stored all the same.
        """
        envelopes = [self._envelope_of(each) for each in publications]
        records = [encode(each.event, envelope) for each, envelope in zip(publications, envelopes, strict=True)]
        for each, record in zip(publications, records, strict=True):
            if (size := batch_bytes(record)) > RECORD_BYTES_MAX:
                raise EventTooLargeError(f"{_subject_of([each])} has {size} bytes; {RECORD_BYTES_MAX} are the most")
        acknowledgements: list[asyncio.Future[object]] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                acknowledgements += [await self._hand_over(topic, record) for record in records]
                await asyncio.gather(*acknowledgements)
        except REFUSALS as error:
            raise EventTooLargeError(f"The broker refused {_subject_of(publications)}: {error!r}") from error
        except UNCLEAR as error:
            raise PublishUnclearError(f"The broker did not take {_subject_of(publications)}: {error!r}") from error
        except (KafkaError, TimeoutError) as error:
            msg = f"{_subject_of(publications)} was not acknowledged: {type(error).__name__}: {error}"
            raise PublishFailedError(msg) from error
        return envelopes

    async def _hand_over(self, topic: Topic, record: Record) -> "asyncio.Future[object]":
        return await self._producer.send(
            f"{self._prefix}{topic.name}", record.value, key=record.key, headers=record.headers
        )

    def _envelope_of(self, publication: Publication) -> Envelope:
        return Envelope(
            id=self._new_id(),
            source=self._source,
            type=publication.event.type,
            subject=publication.key,
            occurred_at=self._clock(),
            correlation_id=publication.correlation_id,
            causation_id=publication.causation_id,
            actor=publication.actor,
            traceparent=publication.traceparent,
        )


def _subject_of(publications: Sequence[Publication]) -> str:
    first = publications[0]
    others = f" (or one of {len(publications) - 1} others)" if len(publications) > 1 else ""
    return f"{first.event.type} about {first.key}{others}"
