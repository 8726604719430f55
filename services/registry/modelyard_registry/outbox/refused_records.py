"""Finds the one record for which the broker refuses a batch, and has it set aside.

A refused batch is sent again record by record; the record that is refused alone is the one.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from modelyard_events.topics import AUDIT_LOG
from modelyard_runtime.clock import Clock
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.publish.replaceable_producer import REFUSALS, UNCLEAR

from modelyard_registry.outbox import metrics
from modelyard_registry.outbox.ordered_producer import Sent
from modelyard_registry.outbox.rows import Outgoing
from modelyard_registry.outbox.set_aside import SetAsideRows

log = structlog.get_logger()

UNCLEAR_TRIES = 3
READ_TIMEOUT_S = 10.0
DIGITS_MAX = 18


class RefusedRecords:
    """What the broker refused while this leader leads. `alone` are the records to be sent in batches of their own."""

    def __init__(self, rows: SetAsideRows, *, kafka: KafkaConnection, prefix: str, clock: Clock) -> None:
        self.alone: set[str] = set()
        self.alarm = ""
        self._rows = rows
        self._kafka = kafka
        self._prefix = prefix
        self._clock = clock
        self._unclear: Counter[str] = Counter()
        self._unsendable: set[str] = set()
        self._measuring = asyncio.Lock()

    def sendable(self, records: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """The records without those documents that the broker refused: they are no rows that could be set aside."""
        return [each for each in records if each.name not in self._unsendable] if self._unsendable else records

    async def take(self, group: Sent) -> None:
        """Look for the record that is at fault in a batch that was not taken; other errors are not looked at."""
        if not isinstance(group.error, (*REFUSALS, *UNCLEAR)) or not group.failed:
            return
        if len(group.failed) > 1:
            self.alone.update(each.name for each in group.failed)
            return
        (record,) = group.failed
        if isinstance(group.error, UNCLEAR):
            self._unclear[record.name] += 1
            if self._unclear[record.name] < UNCLEAR_TRIES or await self._is_on_log(record):
                self.alone.add(record.name)
                return
        await self._set_aside(record, reason=repr(group.error))

    def all_were_taken(self) -> None:
        """The broker took everything that was sent: nothing needs a batch of its own any more."""
        self.alone.clear()
        self._unclear.clear()

    async def measure(self) -> None:
        """Count what is set aside, and say what a person should look at.

        The relay measures from time to time and after each row that is set aside. One measurement at a time: an older
        count must not overwrite a newer one.
        """
        async with self._measuring:
            count = await self._rows.count()
            metrics.RELAY_SET_ASIDE_ROWS.set(count)
            if not count:
                self.alarm = ""
                return
            for oldest in await self._rows.list_oldest():
                rows = "1 row that the broker refuses is" if count == 1 else f"{count} rows that the broker refuses are"
                self.alarm = (
                    f"{rows} set aside, the oldest on {oldest.topic} under {oldest.key[:200]}, where "
                    f"{oldest.rows_behind} wait behind it: {oldest.reason}; see docs/how-to/rows-set-aside.md"
                )

    async def _set_aside(self, record: Outgoing, *, reason: str) -> None:
        self.alone.discard(record.name)
        log.error("row_set_aside", topic=record.topic, key=(record.record.key or b"").decode(), reason=reason)
        if record.row_id is None:
            self._unsendable.add(record.name)
            return
        await self._rows.set_aside(record.row_id, reason=reason, now=self._clock())
        await self.measure()

    async def _is_on_log(self, record: Outgoing) -> bool:
        """Whether an audit entry was stored all the same: then its index must not be given to another."""
        if record.topic != AUDIT_LOG.name or record.row_id is None:
            return False
        index = await self._rows.find_index(record.row_id)
        last = await self._last_index()
        return index is not None and last >= index

    async def _last_index(self) -> int:
        partition = TopicPartition(f"{self._prefix}{AUDIT_LOG.name}", 0)
        consumer = AIOKafkaConsumer(**self._kafka.client_options(), group_id=None, enable_auto_commit=False)
        async with asyncio.timeout(READ_TIMEOUT_S):
            await consumer.start()
            try:
                consumer.assign([partition])
                end = (await consumer.end_offsets([partition]))[partition]
                begin = (await consumer.beginning_offsets([partition]))[partition]
                if end == begin:
                    return 0
                consumer.seek(partition, end - 1)
                headers = dict((await consumer.getone(partition)).headers)
            finally:
                await consumer.stop()
        raw = headers.get("ce_sequence") or b""
        return int(raw) if raw.isdigit() and len(raw) <= DIGITS_MAX else 0
