"""A lane that hands events to their handlers one by one, some keys side by side if the policy says so."""

import asyncio
from collections.abc import Mapping, Sequence

from modelyard_events.event import Event

from modelyard_runtime.consume.delivery import Handler, RawRecord
from modelyard_runtime.consume.examination import Refused, Sound, refused_by_handler
from modelyard_runtime.consume.key_order import KeyScheduler
from modelyard_runtime.consume.lane import Ledger
from modelyard_runtime.consume.reading import Ignored, delivery_of, handler_of
from modelyard_runtime.consume.retries import StoppedError

RECORDS_PER_TURN_MAX = 50


class RecordLane:
    """Settles records in the order of their keys, up to `concurrency_max` at once."""

    def __init__(self, ledger: Ledger, *, on: Mapping[type[Event], Handler]) -> None:
        self.ledger = ledger
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
        """Settle records until the lane is stopped; what is in flight then is finished."""
        stop_watch = asyncio.create_task(self._wake_on_stop())
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._concurrency_max):
                    workers.create_task(self._work())
        finally:
            stop_watch.cancel()

    async def _work(self) -> None:
        settled = 0
        while not self.ledger.stopping.is_set():
            try:
                await self.ledger.await_turn()
                # Held, the partition tries one record at a time.
                is_busy = self.ledger.limit.is_held and self._scheduler.in_flight
                record = None if is_busy else self._scheduler.take()
                if record is None:
                    await self._sleep()
                    continue
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
        match await self.ledger.examination.of(record):
            case Ignored(outcome):
                self.ledger.settle(record, outcome=outcome)
            case Refused() as refused:
                await self._park(record, refused)
            case Sound() as sound:
                await self._handle(record, sound)

    async def _handle(self, record: RawRecord, sound: Sound) -> None:
        received = sound.received
        handler = handler_of(received, self._on)

        async def handle(attempt: int) -> None:
            await handler(delivery_of(record, received, attempt=attempt, sender=sound.sender))

        failure = await self.ledger.retries.attempt(handle, attempts_max=self.ledger.attempts_max(sound.blamed))
        if failure is not None:
            await self._park(record, refused_by_handler(failure, sound))
            return
        self.ledger.settle(record, outcome="handled", blamed=sound.blamed, occurred_at=received.envelope.occurred_at)

    async def _park(self, record: RawRecord, refused: Refused) -> None:
        outcome = await self.ledger.park(record, refused)
        self.ledger.settle(record, outcome=outcome, blamed=refused.blamed)

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
