"""A lane that hands events to their handlers one by one, some keys side by side if the policy says so."""

import asyncio
from collections.abc import Mapping, Sequence

from modelyard_events.codec import Poison, Received
from modelyard_events.event import Event
from modelyard_events.topics import Kind

from modelyard_runtime.consume.delivery import Handler, RawRecord, Sender
from modelyard_runtime.consume.key_order import KeyScheduler
from modelyard_runtime.consume.lane import Ledger, outcome_of
from modelyard_runtime.consume.reading import Ignored, delivery_of, handler_of, read
from modelyard_runtime.consume.retries import Failure, StoppedError

RECORDS_PER_TURN_MAX = 50


class RecordLane:
    """Settles records in the order of their keys, up to `concurrency_max` at once."""

    def __init__(self, ledger: Ledger, *, kind: Kind, on: Mapping[type[Event], Handler]) -> None:
        self.ledger = ledger
        self._kind = kind
        self._on = on
        self._concurrency_max = ledger.setting.policy.concurrency_max
        self._scheduler = KeyScheduler[RawRecord](concurrency_max=self._concurrency_max)
        self._idle: list[asyncio.Event] = []

    def add(self, records: Sequence[RawRecord]) -> None:
        """Take records in; never waits."""
        self.ledger.take(records)
        for record in records:
            self._scheduler.offer(record, key=record.key, offset=record.offset)
        self._wake()

    async def run(self) -> None:
        """Settle records until the lane is stopped or braked; what is in flight then is finished."""
        stop_watch = asyncio.create_task(self._wake_on_stop())
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._concurrency_max):
                    workers.create_task(self._work())
        finally:
            stop_watch.cancel()

    async def _work(self) -> None:
        settled = 0
        while not self.ledger.stopping.is_set() and not self.ledger.brake.is_on:
            record = self._scheduler.take()
            if record is None:
                await self._sleep()
                continue
            try:
                await self._settle(record)
            except StoppedError:
                return
            self._scheduler.finish(key=record.key)
            if self._concurrency_max > 1:
                self._wake()
            settled += 1
            if settled % RECORDS_PER_TURN_MAX == 0:
                await asyncio.sleep(0)  # Handlers that never wait must not keep heartbeats waiting.

    async def _settle(self, record: RawRecord) -> None:
        match read(record, kind=self._kind, wanted=self._on):
            case Ignored(outcome):
                self.ledger.settle(record, outcome=outcome)
            case Poison(reason, detail):
                await self.ledger.park(record, self.ledger.unreadable(reason=reason, detail=detail))
                self.ledger.settle(record, outcome="parked")
            case Received() as received:
                await self._prove_and_handle(record, received)

    async def _prove_and_handle(self, record: RawRecord, received: Received[Event]) -> None:
        proved = await self.ledger.prove(record, received)
        if not isinstance(proved, Failure):
            await self._handle(record, received, sender=proved)
            return
        await self.ledger.park(record, proved)
        self.ledger.settle(record, outcome=outcome_of(proved))

    async def _handle(self, record: RawRecord, received: Received[Event], *, sender: Sender | None) -> None:
        handler = handler_of(received, self._on)

        async def handle(attempt: int) -> None:
            await handler(delivery_of(record, received, attempt=attempt, sender=sender))

        failure = await self.ledger.retries.attempt(handle)
        if failure is None:
            self.ledger.settle(record, outcome="handled", occurred_at=received.envelope.occurred_at)
            return
        await self.ledger.park(record, failure)
        self.ledger.settle(record, outcome="parked")

    async def _sleep(self) -> None:
        woken = asyncio.Event()
        self._idle.append(woken)
        await woken.wait()

    def _wake(self) -> None:
        for woken in self._idle:
            woken.set()
        self._idle.clear()

    async def _wake_on_stop(self) -> None:
        await self.ledger.stopping.wait()
        self._wake()
