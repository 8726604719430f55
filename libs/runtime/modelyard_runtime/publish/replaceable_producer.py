"""An idempotent producer that goes on after a refusal.

aiokafka counts the records of a batch that the broker refused, the broker does not: from then on it refuses all that
follows on that partition (OutOfOrderSequenceNumber), for ever. So a producer of which a batch was refused is replaced
before the next record is sent.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    BrokerResponseError,
    CorruptRecordException,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    ProducerFenced,
    RecordListTooLargeError,
    UnknownError,
    UnsupportedForMessageFormatError,
)

log = structlog.get_logger()

REFUSALS = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    CorruptRecordException,
    InvalidTimestampError,
    UnsupportedForMessageFormatError,
    PolicyViolationError,
)
"""What a broker answers to a batch that it will never take."""
UNCLEAR = (UnknownError,)
"""What it answers when what went wrong has no name here: the record (INVALID_RECORD) or the broker."""
FLUSH_TIMEOUT_S = 5.0
ABANDON_TIMEOUT_S = 2.0

Headers = Sequence[tuple[str, bytes | None]]


def breaks_sequence(error: BaseException | None) -> bool:
    """Whether a producer whose batch failed so can send nothing more to that partition."""
    is_answer = isinstance(error, BrokerResponseError | ProducerFenced)
    return is_answer and not getattr(error, "retriable", False)


class ReplaceableProducer:
    """Takes the place of an aiokafka producer; `build` makes one, which is started and stopped here."""

    def __init__(self, build: Callable[[], AIOKafkaProducer]) -> None:
        self._build = build
        self._producer: AIOKafkaProducer = build()
        self._broken: AIOKafkaProducer | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Raises KafkaError when the broker cannot be reached."""
        await self._producer.start()

    async def stop(self) -> None:
        """Send what was handed over, and close."""
        await self._producer.stop()

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> "asyncio.Future[Any]":
        """Hand a record over; the future is its acknowledgement. Raises KafkaError."""
        producer = await self._sound()
        sent = await producer.send(topic, value, key=key, headers=list(headers), partition=partition)
        return self._watched(producer, sent)

    async def send_and_wait(
        self,
        topic: str,
        value: bytes | None = None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> Any:
        """Send a record and wait until the broker has it. Raises KafkaError."""
        return await (await self.send(topic, value, key=key, headers=headers, partition=partition))

    def create_batch(self) -> Any:
        """An empty batch for `send_batch`."""
        return self._producer.create_batch()

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        """Hand a batch over; the future is its acknowledgement. Raises KafkaError."""
        producer = await self._sound()
        return self._watched(producer, await producer.send_batch(batch, topic, partition=partition))

    async def partitions_for(self, topic: str) -> set[int]:
        """The numbers of a topic's partitions. Raises KafkaError."""
        partitions: set[int] = await self._producer.partitions_for(topic)
        return partitions

    def _watched(self, producer: AIOKafkaProducer, sent: "asyncio.Future[Any]") -> "asyncio.Future[Any]":
        def look(future: "asyncio.Future[Any]") -> None:
            if not future.cancelled() and breaks_sequence(future.exception()):
                self._broken = producer

        sent.add_done_callback(look)
        return sent

    async def _sound(self) -> AIOKafkaProducer:
        if self._broken is not self._producer:
            return self._producer
        async with self._turn:
            if self._broken is self._producer:
                await self._replace()
        return self._producer

    async def _replace(self) -> None:
        # What is under way to other partitions goes first, so that nothing overtakes it.
        old, new = self._producer, self._build()
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await old.stop()
        except (KafkaError, TimeoutError):
            await abandon(old)
        try:
            await new.start()
        except BaseException:
            await new.stop()
            raise
        self._producer = new
        log.warning("producer_replaced", reason="the broker refused a batch")


async def abandon(producer: AIOKafkaProducer) -> None:
    """Close a producer without sending what it still holds."""
    # `stop()` waits until everything is flushed; there is no public way to leave without.
    sender = producer._sender.sender_task
    producer._closed = True
    sender.cancel()
    await producer.client.close()
    # Cancelled once, the sender still waits for its requests; cancelled twice, it does not.
    await asyncio.wait([sender], timeout=ABANDON_TIMEOUT_S)
    sender.cancel()
    await asyncio.wait([sender], timeout=ABANDON_TIMEOUT_S)
