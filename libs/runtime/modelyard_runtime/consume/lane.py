"""One partition's way through the handlers: taken in order, settled somehow, committed in order."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog
from modelyard_events.codec import Received
from modelyard_events.event import Event
from prometheus_client import Counter

from modelyard_runtime.clock import Clock
from modelyard_runtime.consume.brake import Brake
from modelyard_runtime.consume.dead_letters import DeadLetters
from modelyard_runtime.consume.delivery import RawRecord, Sender
from modelyard_runtime.consume.metrics import CONSUMED, DEAD_LETTERS
from modelyard_runtime.consume.offsets import OffsetTracker
from modelyard_runtime.consume.policy import ConsumePolicy
from modelyard_runtime.consume.retries import Failure, Retries
from modelyard_runtime.consume.senders import NOT_PERMITTED, Senders

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSetting:
    """What all partitions of one consumption share. `topic` is the catalogue's name, without the prefix.

    `senders` judges who sent an event; None where only we write.
    """

    topic: str
    group: str
    policy: ConsumePolicy
    clock: Clock
    dead_letters: DeadLetters
    senders: Senders | None = None


class Ledger:
    """The state of one partition: what is taken, what is done, what is wrong."""

    def __init__(self, setting: LaneSetting, *, brake: Brake, on_change: Callable[[], None]) -> None:
        self.setting = setting
        self.brake = brake
        self.stopping = asyncio.Event()
        self.offsets = OffsetTracker()
        self.retries = Retries(
            topic=setting.topic,
            group=setting.group,
            policy=setting.policy,
            clock=setting.clock,
            stopping=self.stopping,
            on_change=on_change,
        )
        self._on_change = on_change
        self._consumed: dict[str, Counter] = {}
        self.settled_count = 0
        self.last_occurred_at: datetime | None = None
        self.is_stale = False
        """Whether the store said that it is past these records; the lane ends then."""

    def take(self, records: Sequence[RawRecord]) -> None:
        """Enter records as taken. Raises ValueError when their offsets do not rise."""
        for record in records:
            self.offsets.take(record.offset)

    def settle(self, record: RawRecord, *, outcome: str, occurred_at: datetime | None = None) -> None:
        """Enter a record as done; `occurred_at` is its event's time."""
        self.last_occurred_at = occurred_at or self.last_occurred_at
        if outcome not in self._consumed:
            self._consumed[outcome] = CONSUMED.labels(self.setting.topic, self.setting.group, outcome)
        self._consumed[outcome].inc()
        self.settled_count += 1
        self.brake.count(is_dead=outcome == "parked")
        self.offsets.finish(record.offset)
        self._on_change()

    async def park(self, record: RawRecord, failure: Failure) -> None:
        """Write a record to the dead letters, however long that takes. Raises StoppedError."""

        async def park() -> None:
            await self.setting.dead_letters.park(
                record,
                reason=failure.reason,
                detail=failure.detail,
                group=self.setting.group,
                attempts=failure.attempts,
                first_failed_at=failure.first_failed_at,
                last_failed_at=failure.last_failed_at,
            )

        await self.retries.insist(park, cause="parking")
        DEAD_LETTERS.labels(self.setting.topic, self.setting.group, failure.reason).inc()
        log.error(
            "record_parked",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            group=self.setting.group,
            reason=failure.reason,
            detail=failure.detail,
            attempts=failure.attempts,
        )

    async def prove(self, record: RawRecord, received: Received[Event]) -> Sender | Failure | None:
        """Who sent the event, None when nobody needs to say so, or why it is refused. Raises StoppedError."""
        senders = self.setting.senders
        if senders is None:
            return None
        proved: Sender | None = None

        async def prove(attempt: int) -> None:
            nonlocal proved
            proved = await senders.prove(record, received, attempt=attempt)

        return await self.retries.attempt(prove) or proved

    def unreadable(self, *, reason: str, detail: str) -> Failure:
        """The failure of a record that could not be read: once, now."""
        now = self.setting.clock()
        return Failure(reason=reason, detail=detail, attempts=1, first_failed_at=now, last_failed_at=now)


def outcome_of(failure: Failure) -> str:
    """The metric label of a record that was parked.

    What a known sender was not permitted to say is that sender's mistake alone: it must not stop the partition
    for all others, as dead letters do that may be our own fault.
    """
    return "refused" if failure.reason == NOT_PERMITTED else "parked"


class Lane(Protocol):
    """What the consumption needs from a partition's lane."""

    @property
    def ledger(self) -> Ledger:
        """The partition's state."""
        ...

    def add(self, records: Sequence[RawRecord]) -> None:
        """Take records in; never waits."""
        ...

    async def run(self) -> None:
        """Settle records until `ledger.stopping` is set; what is in flight then is finished."""
        ...


OnChange = Callable[[], None]
BuildLane = Callable[[Brake, OnChange], Lane]
