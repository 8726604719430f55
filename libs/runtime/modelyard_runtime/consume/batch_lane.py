"""A lane that hands over what has arrived as one batch, for stores that keep offset and effect together."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from modelyard_events.codec import Poison, Received
from modelyard_events.event import Event
from modelyard_events.topics import Kind

from modelyard_runtime.consume.delivery import Batch, BatchHandler, Delivery, RawRecord, Sender
from modelyard_runtime.consume.lane import Ledger, outcome_of
from modelyard_runtime.consume.reading import Ignored, delivery_of, read
from modelyard_runtime.consume.retries import Failure, StoppedError
from modelyard_runtime.errors import StaleOffsetError


class Read(NamedTuple):
    """A record, the event in it if a handler should see it, the outcome if the handler succeeds, and who sent it."""

    record: RawRecord
    received: Received[Event] | None
    outcome: str
    sender: Sender | None = None


class BatchLane:
    """Settles the waiting records of a partition together.

    It ends, with `ledger.is_stale` set, when the store says that it is already past them.
    """

    def __init__(self, ledger: Ledger, *, kind: Kind, on_batch: BatchHandler) -> None:
        self.ledger = ledger
        self._kind = kind
        self._on_batch = on_batch
        self._waiting: deque[RawRecord] = deque()
        self._arrived = asyncio.Event()

    def add(self, records: Sequence[RawRecord]) -> None:
        """Take records in; never waits."""
        self.ledger.take(records)
        self._waiting.extend(records)
        self._arrived.set()

    async def run(self) -> None:
        """Settle records until the lane is stopped, braked or stale; the batch in flight then is finished."""
        stop_watch = asyncio.create_task(self._wake_on_stop())
        try:
            while not self._must_end:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting and not self._must_end:
                    await self._settle_some()
        except StoppedError:
            return
        finally:
            stop_watch.cancel()

    @property
    def _must_end(self) -> bool:
        return self.ledger.stopping.is_set() or self.ledger.brake.is_on or self.ledger.is_stale

    async def _read_some(self) -> list[Read]:
        """The next records as one batch, cut where as many were parked as the brake lets pass in a row.

        The brake counts when they are settled: between two batches it can stop a flood of poison.
        """
        reads: list[Read] = []
        parked = 0
        records_max = self.ledger.setting.policy.poll_records_max
        while self._waiting and len(reads) < records_max and parked < self.ledger.brake.remaining:
            record = self._waiting[0]
            reads.append(await self._read(record))
            self._waiting.popleft()
            parked += reads[-1].outcome == "parked"
        return reads

    async def _settle_some(self) -> None:
        reads = await self._read_some()
        failure = await self._try(reads)
        if failure is None:
            return
        if len(reads) == 1:
            await self._give_up(reads[0], failure)
            return
        # Which one is bad? One by one; the good ones are applied, only the bad one is parked.
        for read_record in reads:
            if self._must_end:
                return
            failure = await self._try([read_record])
            if failure is not None:
                await self._give_up(read_record, failure)

    async def _read(self, record: RawRecord) -> Read:
        match read(record, kind=self._kind, wanted=None):
            case Ignored(outcome):
                return Read(record, None, outcome)
            case Poison(reason, detail):
                await self.ledger.park(record, self.ledger.unreadable(reason=reason, detail=detail))
                return Read(record, None, "parked")
            case Received() as received:
                return await self._prove(record, received)

    async def _prove(self, record: RawRecord, received: Received[Event]) -> Read:
        proved = await self.ledger.prove(record, received)
        if not isinstance(proved, Failure):
            return Read(record, received, "handled", proved)
        await self.ledger.park(record, proved)
        return Read(record, None, outcome_of(proved))

    async def _try(self, reads: list[Read]) -> Failure | None:
        """Offer the reads as one batch; on success settle them all. None also when the store is past them."""

        async def offer(attempt: int) -> None:
            try:
                await self._on_batch(_batch_of(reads, attempt=attempt))
            except StaleOffsetError:
                self.ledger.is_stale = True

        failure = await self.ledger.retries.attempt(offer)
        if failure is None and not self.ledger.is_stale:
            self._settle(reads)
        return failure

    def _settle(self, reads: list[Read]) -> None:
        for each in reads:
            occurred_at = each.received.envelope.occurred_at if each.received is not None else None
            self.ledger.settle(each.record, outcome=each.outcome, occurred_at=occurred_at)

    async def _give_up(self, read_record: Read, failure: Failure) -> None:
        """Park the record, then let the store's offset pass it."""
        await self.ledger.park(read_record.record, failure)
        await self._insist_on_offset(Read(read_record.record, None, "parked"))

    async def _insist_on_offset(self, passed: Read) -> None:
        async def offer() -> None:
            try:
                await self._on_batch(_batch_of([passed], attempt=1))
            except StaleOffsetError:
                self.ledger.is_stale = True

        await self.ledger.retries.insist(offer, cause="offset")
        if not self.ledger.is_stale:
            self._settle([passed])

    async def _wake_on_stop(self) -> None:
        await self.ledger.stopping.wait()
        self._arrived.set()


def _batch_of(reads: list[Read], *, attempt: int) -> Batch:
    first, last = reads[0].record, reads[-1].record
    deliveries: tuple[Delivery[Event], ...] = tuple(
        delivery_of(each.record, each.received, attempt=attempt, sender=each.sender)
        for each in reads
        if each.received is not None
    )
    return Batch(
        deliveries=deliveries,
        topic=first.topic,
        partition=first.partition,
        first_offset=first.offset,
        next_offset=last.offset + 1,
    )
