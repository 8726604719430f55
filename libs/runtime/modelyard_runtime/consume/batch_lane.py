"""A lane that hands over what has arrived as one batch, for stores that keep offset and effect together."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from modelyard_events.event import Event

from modelyard_runtime.consume.delivery import Batch, BatchHandler, Delivery, RawRecord
from modelyard_runtime.consume.examination import Refused, Sound, refused_by_handler
from modelyard_runtime.consume.lane import Ledger, Settled
from modelyard_runtime.consume.reading import Ignored, delivery_of
from modelyard_runtime.consume.retries import Failure, StoppedError
from modelyard_runtime.errors import StaleOffsetError

RECORDS_PER_TURN_MAX = 50


class Read(NamedTuple):
    """A record, the event in it if there is one to handle, the outcome if that succeeds, and who answers for it."""

    record: RawRecord
    sound: Sound | None
    outcome: str
    blamed: str | None = None


class BatchLane:
    """Settles the waiting records of a partition together.

    It ends, with `ledger.is_stale` set, when the store says that it is already past them.
    """

    def __init__(self, ledger: Ledger, *, on_batch: BatchHandler) -> None:
        self.ledger = ledger
        self._on_batch = on_batch
        self._waiting: deque[RawRecord] = deque()
        self._arrived = asyncio.Event()

    def add(self, records: Sequence[RawRecord]) -> None:
        """Take records in; never waits."""
        self.ledger.take(records)
        self._waiting.extend(records)
        self._arrived.set()

    async def run(self) -> None:
        """Settle records until the lane is stopped or stale; the batch in flight then is finished."""
        stop_watch = asyncio.create_task(self._wake_on_stop())
        try:
            while not self._must_end:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting and not self._must_end:
                    await self.ledger.await_turn()
                    await self._settle_some()
        except StoppedError:
            return
        finally:
            stop_watch.cancel()

    @property
    def _must_end(self) -> bool:
        return self.ledger.stopping.is_set() or self.ledger.is_stale

    async def _read_some(self) -> list[Read]:
        """The next records as one batch, cut where as many were parked as the limit lets pass in a row.

        The limit counts when they are settled: between two batches it can stop a flood of poison.
        """
        reads: list[Read] = []
        parked = 0
        records_max = 1 if self.ledger.limit.is_held else self.ledger.setting.policy.poll_records_max
        parked_max = self.ledger.limit.remaining
        while self._waiting and len(reads) < records_max and parked < parked_max:
            record = self._waiting[0]
            reads.append(await self._read(record))
            self._waiting.popleft()
            parked += reads[-1].outcome == "parked"
            if len(reads) % RECORDS_PER_TURN_MAX == 0:
                await asyncio.sleep(0)  # Reading a full batch must not keep heartbeats and callers waiting.
        return reads

    async def _settle_some(self) -> None:
        reads = await self._read_some()
        if len(reads) == 1:
            await self._settle_one(reads[0])
            return
        # A surprise is not repeated on the whole batch: the records that are at fault are found one by one.
        if await self._try(reads, attempts_max=1) is None:
            return
        for each in reads:
            if self._must_end:
                return
            await self.ledger.await_turn()
            await self._settle_one(each)

    async def _settle_one(self, each: Read) -> None:
        failure = await self._try([each], attempts_max=self.ledger.attempts_max(each.blamed))
        if failure is not None:
            await self._give_up(each, failure)

    async def _read(self, record: RawRecord) -> Read:
        match await self.ledger.examination.of(record):
            case Ignored(outcome):
                return Read(record, None, outcome)
            case Refused() as refused:
                return Read(record, None, await self.ledger.park(record, refused), refused.blamed)
            case Sound() as sound:
                return Read(record, sound, "handled", sound.blamed)

    async def _try(self, reads: list[Read], *, attempts_max: int | None) -> Failure | None:
        """Offer the reads as one batch; on success settle them all.

        Returns None also when the store has already applied these offsets; nothing is settled then.
        """

        async def offer(attempt: int) -> None:
            try:
                await self._on_batch(_batch_of(reads, attempt=attempt))
            except StaleOffsetError:
                self.ledger.is_stale = True

        failure = await self.ledger.retries.attempt(offer, attempts_max=attempts_max)
        if failure is None and not self.ledger.is_stale:
            self._settle(reads)
        return failure

    def _settle(self, reads: list[Read]) -> None:
        self.ledger.settle_all(
            Settled(
                each.record.offset,
                each.outcome,
                blamed=each.blamed,
                occurred_at=None if each.sound is None else each.sound.received.envelope.occurred_at,
            )
            for each in reads
        )

    async def _give_up(self, each: Read, failure: Failure) -> None:
        """Park the record, then let the store's offset pass it."""
        if each.sound is None:  # Parked already: what failed is the store, which time will mend.
            await self._insist_on_offset(each)
            return
        refused = refused_by_handler(failure, each.sound)
        outcome = await self.ledger.park(each.record, refused)
        await self._insist_on_offset(Read(each.record, None, outcome, refused.blamed))

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
        delivery_of(each.record, each.sound.received, attempt=attempt, sender=each.sound.sender)
        for each in reads
        if each.sound is not None
    )
    return Batch(
        deliveries=deliveries,
        topic=first.topic,
        partition=first.partition,
        first_offset=first.offset,
        next_offset=last.offset + 1,
    )
