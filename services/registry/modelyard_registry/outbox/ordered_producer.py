"""Sends records so that per partition the order holds even when a send fails.

Records of a partition go in batches, one at a time: the next one leaves only when the broker has
acknowledged the one before. So a failure leaves a prefix that is stored and a rest that is not known to
be; sending the rest again later repeats records, and never lets a later one overtake an earlier one.
Batches of different partitions travel together.

aiokafka retries an idempotent batch without end, in the background. A producer with an unanswered
batch is therefore abandoned, not stopped: stopping would flush what must not be sent any more. One of
which the broker refused a batch is replaced, for it can send nothing more to that partition.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import BrokerResponseError, KafkaError
from aiokafka.partitioner import DefaultPartitioner
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.publish import build_single_producer
from modelyard_runtime.publish.replaceable_producer import abandon

from modelyard_registry.outbox.rows import Outgoing, by_partition

BATCH_BYTES_MAX = 256 * 1024
# The longest that a leader election or a broker's restart should take; afterwards the round starts anew.
ACKNOWLEDGED_TIMEOUT_S = 20.0
REQUEST_TIMEOUT_MS = 10_000
METADATA_AGE_MS_MAX = 30_000
KEYS_REMEMBERED_MAX = 50_000

SEND_ERRORS = (KafkaError, TimeoutError, OSError)

_partitioner = DefaultPartitioner()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of the records of one partition: the broker has the first `acknowledged` of them.

    `failed` are the records of the batch that `error` is about, the first that the broker does not have.
    """

    topic: str
    records: Sequence[Outgoing]
    acknowledged: int
    error: BaseException | None
    failed: Sequence[Outgoing] = ()


class OrderedProducer:
    """Use as an async context manager; one that has failed is to be left, or `renew`ed.

    `may_send` is awaited before each batch and raises when this process must not send any more.
    """

    def __init__(
        self, *, kafka: KafkaConnection, prefix: str, client_id: str, may_send: Callable[[], Awaitable[None]]
    ) -> None:
        self._kafka = kafka
        self._client_id = client_id
        self._producer = self._build()
        self._prefix = prefix
        self._may_send = may_send
        self._unanswered = 0

    def _build(self) -> AIOKafkaProducer:
        return build_single_producer(
            kafka=self._kafka,
            client_id=self._client_id,
            linger_ms=0,
            batch_bytes_max=BATCH_BYTES_MAX,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            metadata_age_ms_max=METADATA_AGE_MS_MAX,
        )

    async def __aenter__(self) -> Self:
        """Connect. Raises KafkaError when the broker cannot be reached."""
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def renew(self) -> None:
        """Go on with a new producer. Raises KafkaError when the broker cannot be reached."""
        await self._leave()
        self._producer, self._unanswered = self._build(), 0
        await self._producer.start()

    async def _leave(self) -> None:
        if self._unanswered:
            await abandon(self._producer)
        else:
            await self._producer.stop()

    async def send(self, records: Sequence[Outgoing], *, alone: Collection[str] = ()) -> list[Sent]:
        """Send records, keeping their order within each partition, and say what the broker has of each.

        Each record whose name is in `alone` gets a batch of its own.
        """
        topics = {each.topic for each in records}
        try:
            async with asyncio.timeout(ACKNOWLEDGED_TIMEOUT_S):
                partitions = {topic: await self._partitions_of(topic) for topic in topics}
        except SEND_ERRORS as error:
            return [Sent(topic=topic, records=records, acknowledged=0, error=error) for topic in topics]
        groups = by_partition(records, partition_of=lambda topic, key: _place(key, partitions[topic]))
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._send_partition(topic, partition, each, alone=alone))
                for (topic, partition), each in groups.items()
            ]
        return [task.result() for task in tasks]

    async def _partitions_of(self, topic: str) -> int:
        return len(await self._producer.partitions_for(f"{self._prefix}{topic}"))

    async def _send_partition(
        self, topic: str, partition: int, records: Sequence[Outgoing], *, alone: Collection[str]
    ) -> Sent:
        acknowledged, count = 0, 0
        try:
            for batch, count in self._batches(records, alone=alone):
                await self._may_send()
                await self._send_batch(batch, topic=f"{self._prefix}{topic}", partition=partition)
                acknowledged += count
        except SEND_ERRORS as error:
            failed = records[acknowledged : acknowledged + count]
            return Sent(topic=topic, records=records, acknowledged=acknowledged, error=error, failed=failed)
        return Sent(topic=topic, records=records, acknowledged=acknowledged, error=None)

    async def _send_batch(self, batch: Any, *, topic: str, partition: int) -> None:
        self._unanswered += 1
        async with asyncio.timeout(ACKNOWLEDGED_TIMEOUT_S):
            try:
                await (await self._producer.send_batch(batch, topic, partition=partition))
            except BrokerResponseError:
                self._unanswered -= 1  # It was answered, with a refusal.
                raise
        # Not in a `finally`: whatever interrupted the wait, the batch may still be on its way.
        self._unanswered -= 1

    def _batches(self, records: Sequence[Outgoing], *, alone: Collection[str]) -> Iterator[tuple[Any, int]]:
        """The records in batches of the producer's size; a record that is larger has a batch of its own."""
        batch, is_closed = self._producer.create_batch(), False
        for each in records:
            is_alone = each.name in alone
            if batch.record_count() and (is_closed or is_alone or not _append(batch, each)):
                yield batch, batch.record_count()
                batch = self._producer.create_batch()
                _append(batch, each)
            elif not batch.record_count():
                _append(batch, each)
            is_closed = is_alone
        yield batch, batch.record_count()


def _append(batch: Any, each: Outgoing) -> bool:
    record = each.record
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers)) is not None


@lru_cache(maxsize=KEYS_REMEMBERED_MAX)
def _place(key: bytes, partitions: int) -> int:
    """The partition that every Kafka client by default puts this key on."""
    numbers = list(range(partitions))
    return int(_partitioner(key, numbers, numbers))
