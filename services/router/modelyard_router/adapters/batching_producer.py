"""Sends records in batches: the records of a partition share one batch and one acknowledgement.

aiokafka's `send` makes futures and looks up partitions for each record. That takes several times as long as answering
the request that the record is about. Here a record costs little more than copying its bytes. `run` sends the batches
as soon as the event loop gets to it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import unpack_from
from typing import Any

from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from modelyard_runtime.publish.replaceable_producer import ReplaceableProducer

RECORD_BYTES_MAX = 1_000_000
"""A little less than a topic's default limit: a batch that the broker refuses would leave a gap in the sequence."""

KEYS_REMEMBERED = 10_000
"""Most units ask more than once, and hashing a key takes as long as copying its record."""

_MASK = 0xFFFFFFFF
_FACTOR = 0x5BD1E995
_SEED = 0x9747B28C


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    topic: str
    partition: int
    records: Any
    acknowledged: "asyncio.Future[object]"


class BatchingProducer:
    """Has the interface that a fact queue needs of an aiokafka producer. `run` must run while records are sent."""

    def __init__(self, producer: ReplaceableProducer) -> None:
        self._producer = producer
        self._open: dict[tuple[str, int], _Batch] = {}
        self._full: list[_Batch] = []
        self._arrived = asyncio.Event()

    async def send(
        self, topic: str, value: bytes | None, *, key: bytes | None, headers: Sequence[tuple[str, bytes | None]]
    ) -> "asyncio.Future[object]":
        """Put a record into the open batch of its key's partition; the future is the batch's acknowledgement.

        Raises MessageSizeTooLargeError, or KafkaError when the topic's partitions cannot be learnt.
        """
        key, value = key or b"", value or b""
        if len(key) + len(value) > RECORD_BYTES_MAX:
            raise MessageSizeTooLargeError(f"the record has more than {RECORD_BYTES_MAX} bytes")
        partitions = len(await self._producer.partitions_for(topic))
        place = (topic, (murmur2(key) & 0x7FFFFFFF) % partitions)
        batch = self._open.get(place) or self._begin(place)
        if batch.records.append(timestamp=None, key=key, value=value, headers=headers) is None:
            self._full.append(batch)
            batch = self._begin(place)
            batch.records.append(timestamp=None, key=key, value=value, headers=headers)
        self._arrived.set()
        return batch.acknowledged

    async def run(self) -> None:
        """Send what was put into batches until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            batches = [*self._full, *self._open.values()]
            self._full.clear()
            self._open.clear()
            for batch in batches:
                await self._send(batch)

    def _begin(self, place: tuple[str, int]) -> _Batch:
        batch = _Batch(
            topic=place[0],
            partition=place[1],
            records=self._producer.create_batch(),
            acknowledged=asyncio.get_running_loop().create_future(),
        )
        self._open[place] = batch
        return batch

    async def _send(self, batch: _Batch) -> None:
        batch.records.close()
        try:
            sent = await self._producer.send_batch(batch.records, batch.topic, partition=batch.partition)
        except KafkaError as error:
            _settle(batch.acknowledged, error)
            return
        sent.add_done_callback(lambda done: _settle(batch.acknowledged, done.exception()))


def _settle(future: "asyncio.Future[object]", error: BaseException | None) -> None:
    if future.done():
        return  # It was cancelled: nothing waits for the acknowledgement.
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


@lru_cache(KEYS_REMEMBERED)
def murmur2(key: bytes) -> int:
    """Return the hash by which Kafka's own clients choose partitions, so that equal keys get equal partitions.

    Source: `org.apache.kafka.common.utils.Utils.murmur2`. It reads words instead of bytes, and so is three times as
    fast as the one in aiokafka.
    """
    length = len(key)
    whole = length & ~3
    hashed = _SEED ^ length
    for word in unpack_from(f"<{whole // 4}I", key):
        word = word * _FACTOR & _MASK
        hashed = (hashed * _FACTOR & _MASK) ^ ((word ^ word >> 24) * _FACTOR & _MASK)
    if length > whole:
        hashed = (hashed ^ int.from_bytes(key[whole:], "little")) * _FACTOR & _MASK
    hashed = (hashed ^ hashed >> 13) * _FACTOR & _MASK
    return hashed ^ hashed >> 15
