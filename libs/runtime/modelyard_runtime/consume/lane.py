"""One partition's way through the handlers: taken in order, settled somehow, committed in order."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

import structlog
from prometheus_client import Counter

from modelyard_runtime.clock import Clock
from modelyard_runtime.consume.allowance import Allowance
from modelyard_runtime.consume.dead_letter_limit import DeadLetterLimit
from modelyard_runtime.consume.dead_letters import DeadLetters
from modelyard_runtime.consume.delivery import RawRecord
from modelyard_runtime.consume.examination import Examination, Refused
from modelyard_runtime.consume.metrics import CONSUMED, DEAD_LETTERS
from modelyard_runtime.consume.offsets import OffsetTracker
from modelyard_runtime.consume.policy import ConsumePolicy
from modelyard_runtime.consume.reading import Wanted
from modelyard_runtime.consume.retries import Retries, StoppedError
from modelyard_runtime.consume.senders import Senders

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSetting:
    """What all partitions of one consumption share. `topic` is the catalogue's name, without the prefix.

    `senders` judges who sent an event; None where only we write. `unproved` is how many records that nobody proved are
    parked.
    """

    topic: str
    group: str
    policy: ConsumePolicy
    clock: Clock
    dead_letters: DeadLetters
    unproved: Allowance
    senders: Senders | None = None


class Settled(NamedTuple):
    """A record that is done: its outcome, its sender if one is known, and the time of its event if there is one."""

    offset: int
    outcome: str
    blamed: str | None = None
    occurred_at: datetime | None = None


class Ledger:
    """The state of one partition: what is taken, what is done, what is wrong."""

    def __init__(
        self, setting: LaneSetting, *, wanted: Wanted, limit: DeadLetterLimit, on_change: Callable[[], None]
    ) -> None:
        self.setting = setting
        self.limit = limit
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
        self.examination = Examination(wanted, senders=setting.senders, retries=self.retries)
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

    def settle(
        self, record: RawRecord, *, outcome: str, blamed: str | None = None, occurred_at: datetime | None = None
    ) -> None:
        """Enter a record as done; `blamed` is its sender if one is known, `occurred_at` its event's time."""
        self.settle_all([Settled(record.offset, outcome, blamed=blamed, occurred_at=occurred_at)])

    def settle_all(self, settled: Iterable[Settled]) -> None:
        """Enter records as done, in their order."""
        count_of: dict[str, int] = {}
        for each in settled:
            self.last_occurred_at = each.occurred_at or self.last_occurred_at
            count_of[each.outcome] = count_of.get(each.outcome, 0) + 1
            if each.outcome in ("handled", "parked"):
                self.limit.count(is_dead=each.outcome == "parked", sender=each.blamed)
            self.offsets.finish(each.offset)
        for outcome, count in count_of.items():
            self._count(outcome, count)
        self._on_change()

    def _count(self, outcome: str, count: int) -> None:
        if outcome not in self._consumed:
            self._consumed[outcome] = CONSUMED.labels(self.setting.topic, self.setting.group, outcome)
        self._consumed[outcome].inc(count)
        self.settled_count += count

    async def await_turn(self) -> None:
        """Wait until the next record may be taken; at once unless the partition is held. Raises StoppedError."""
        while (wait_s := self.limit.wait_s) > 0:
            try:
                async with asyncio.timeout(wait_s):
                    await self.stopping.wait()
            except TimeoutError:
                continue
            raise StoppedError

    def attempts_max(self, blamed: str | None) -> int | None:
        """How often a sender's record is attempted: once if many of theirs failed, else as the policy says."""
        return 1 if self.limit.is_suspect(blamed) else None

    async def park(self, record: RawRecord, refused: Refused) -> str:
        """Write a record to the dead letters, however long that takes; returns its outcome. Raises StoppedError.

        Of a flood of records that nobody proved, only some are written: the others stay on their topic.
        """
        if refused.outcome == "unproved" and not self.setting.unproved.take():
            return "unproved_dropped"
        failure = refused.failure

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
        return refused.outcome


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
BuildLane = Callable[[DeadLetterLimit, OnChange], Lane]
