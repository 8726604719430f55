"""One subscription at work: partitions come and go, records flow to their lanes, done offsets are committed.

FastStream polls and hands the raw records over at once; whatever takes time happens in the lanes. So the
poll never waits for a handler, a partition in trouble is paused while the others go on, and the member
is never evicted for being slow.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from itertools import groupby
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from modelyard_runtime.consume.dead_letter_limit import DeadLetterLimit
from modelyard_runtime.consume.lane import BuildLane, LaneSetting
from modelyard_runtime.consume.metrics import AGE, COMMITS, HELD, LAG, REBALANCES
from modelyard_runtime.consume.partition import Partition, StartOffsets
from modelyard_runtime.health import HealthCheck

log = structlog.get_logger()

TICK_S = 0.05
MEASURE_INTERVAL_S = 0.2
END_OFFSETS_INTERVAL_S = 5.0
BROKER_TIMEOUT_S = 5.0
STALL_S = 30.0
COMMIT_TIMEOUT_S = 5.0
CANCEL_TIMEOUT_S = 2.0


class Consumption:
    """What `consume` returns: the health, the lag and the draining of one subscription."""

    def __init__(
        self,
        *,
        setting: LaneSetting,
        build_lane: BuildLane,
        start_offsets: StartOffsets | None,
    ) -> None:
        self.name = f"consume:{setting.topic}:{setting.group}"
        self._setting = setting
        self._build_lane = build_lane
        self._start_offsets = start_offsets
        self._subscriber: Any = None
        self._consumer: AIOKafkaConsumer | None = None
        self._partitions: dict[TopicPartition, Partition] = {}
        self._limits: dict[TopicPartition, DeadLetterLimit] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._commit_lock = asyncio.Lock()
        self._is_assigned = False
        self._measured_at_s = self._asked_at_s = self._committed_at_s = 0.0
        self._committed_count = 0
        self._drain_requested = asyncio.Event()
        self._caretaker: asyncio.Task[None] | None = None

    @property
    def is_caught_up(self) -> bool:
        """Whether everything is done that was on the assigned partitions when they were assigned."""
        return self._is_assigned and all(part.is_caught_up for part in self._partitions.values())

    @property
    def lag(self) -> int:
        """Records on the assigned partitions that are not done yet, as far as the broker told."""
        return sum(part.lag for part in self._partitions.values())

    @property
    def is_held(self) -> bool:
        """Whether a partition is held because too many of its records were dead letters."""
        return any(part.is_held for part in self._partitions.values())

    def check(self) -> HealthCheck:
        """Ready when assigned, caught up, and neither held nor broken; degraded when a retry takes long.

        What is being retried is told, but does not make the part unready: time will mend it, and the
        service may have other work.
        """
        problem = self._problem()
        parts = self._partitions.values()
        troubles = [text for part in parts if (text := part.trouble) is not None]
        detail = problem or f"lag {self.lag}"
        if troubles:
            detail = f"{detail}; retrying ({troubles[0]})"
        is_stuck = self.is_held or any(part.trouble_s > STALL_S for part in parts)
        return HealthCheck(name=self.name, ok=problem is None, degraded=is_stuck, detail=detail)

    async def drain(self) -> None:
        """Finish what is in flight, commit it, take no more. Bounded by the policy's `drain_timeout_s`."""
        self._drain_requested.set()
        if self._caretaker is not None:
            await asyncio.wait([self._caretaker])

    # What follows is called by the subscription.

    def bind(self, subscriber: Any) -> None:
        """The FastStream subscriber that polls for this consumption."""
        self._subscriber = subscriber

    def take(self, records: Iterable[ConsumerRecord]) -> None:
        """Spread polled records over their partitions' lanes; never waits."""
        for tp, run in groupby(records, key=lambda record: TopicPartition(record.topic, record.partition)):
            part = self._partitions.get(tp)
            if part is not None:
                part.take(list(run))

    async def on_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Open a lane per partition; with stored offsets, seek there before anything flows."""
        REBALANCES.labels(self._setting.topic, self._setting.group).inc()
        if self._subscriber.consumer is not self._consumer:
            self._consumer = self._subscriber.consumer
            self._drain_requested.clear()
        self._committed.clear()
        self._partitions = {tp: self._open(tp) for tp in assigned}
        self._is_assigned = True
        if self._caretaker is None or self._caretaker.done():
            self._caretaker = asyncio.create_task(self._take_care(), name=self.name)

    async def on_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Finish what is in flight, commit it, close the lanes; bounded."""
        if revoked:
            self._is_assigned = False
        await self._close_lanes()

    def _open(self, tp: TopicPartition) -> Partition:
        policy = self._setting.policy
        limit = self._limits.setdefault(
            tp,
            DeadLetterLimit(
                consecutive_max=policy.dead_letters_in_a_row_max,
                ratio_max=policy.dead_letters_ratio_max,
                window=policy.dead_letters_window,
                hold_initial_s=policy.hold_initial_s,
                hold_max_s=policy.hold_max_s,
            ),
        )
        part = Partition(
            tp,
            consumer=self._consumer,
            build_lane=lambda on_change: self._build_lane(limit, on_change),
            start_offsets=self._start_offsets,
            policy=policy,
        )
        part.open(is_still=self._drain_requested.is_set())
        return part

    async def _take_care(self) -> None:
        """Commit and measure until FastStream stops the subscriber or `drain` is called; then drain.

        FastStream has no hook for a stop, but waits for its own lock before it closes the consumer. So
        the lock is held for as long as there is something to drain.
        """
        with self._subscriber.lock:
            chores = [
                asyncio.create_task(self._go_on(self._commit_when_due, every_s=TICK_S)),
                asyncio.create_task(self._go_on(self._measure, every_s=MEASURE_INTERVAL_S)),
            ]
            await self._await_stop()
            self._drain_requested.set()  # Partitions that are assigned from now on stay still.
            for chore in chores:
                chore.cancel()
            await asyncio.wait(chores)
            await self._close_lanes()

    async def _go_on(self, chore: Callable[[], Awaitable[None]], *, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await chore()
            except Exception:  # A defect of ours must not end the commits; nothing is lost meanwhile.
                log.exception("chore_failed", consumption=self.name)

    async def _await_stop(self) -> None:
        has_run = False
        while has_run is False or self._subscriber.running:
            has_run = has_run or self._subscriber.running
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._drain_requested.wait()
                    return

    async def _commit_when_due(self) -> None:
        policy = self._setting.policy
        now_s = asyncio.get_running_loop().time()
        is_due = now_s - self._committed_at_s >= policy.commit_interval_s
        if is_due or self._settled_count - self._committed_count >= policy.commit_records_max:
            self._committed_at_s, self._committed_count = now_s, self._settled_count
            await self._commit()

    async def _measure(self) -> None:
        now_s = asyncio.get_running_loop().time()
        ends: dict[TopicPartition, int] = {}
        if now_s - self._asked_at_s >= END_OFFSETS_INTERVAL_S:
            self._asked_at_s = now_s
            ends = await self._ask_for_ends()
        for tp, part in list(self._partitions.items()):
            await part.measure(now_s=now_s, end_offset=ends.get(tp))
        self._measured_at_s = now_s
        self._show()

    async def _ask_for_ends(self) -> dict[TopicPartition, int]:
        # A paused partition is not fetched, so without asking its lag would seem to stand still.
        if self._consumer is None:
            return {}
        try:
            async with asyncio.timeout(BROKER_TIMEOUT_S):
                ends: dict[TopicPartition, int] = await self._consumer.end_offsets(list(self._partitions))
                return ends
        except (KafkaError, TimeoutError):
            return {}

    def _show(self) -> None:
        labels = (self._setting.topic, self._setting.group)
        parts = self._partitions.values()
        LAG.labels(*labels).set(self.lag)
        HELD.labels(*labels).set(sum(part.is_held for part in parts))
        behind = [since for part in parts if (since := part.behind_since) is not None]
        age_s = (self._setting.clock() - min(behind)).total_seconds() if behind else 0.0
        AGE.labels(*labels).set(max(0.0, age_s))

    async def _close_lanes(self) -> None:
        parts = list(self._partitions.values())
        for part in parts:
            part.stop()
        tasks = [part.task for part in parts if part.task is not None]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=self._setting.policy.drain_timeout_s)
            for task in pending:
                log.warning("drain_timed_out", consumption=self.name)
                task.cancel()
            if pending:
                await asyncio.wait(pending, timeout=CANCEL_TIMEOUT_S)
        await self._commit()
        self._partitions = {tp: part for tp, part in self._partitions.items() if part not in parts}

    @property
    def _settled_count(self) -> int:
        return sum(part.lane.ledger.settled_count for part in self._partitions.values())

    async def _commit(self) -> None:
        async with self._commit_lock:
            offsets = {
                tp: part.next_offset
                for tp, part in self._partitions.items()
                if part.next_offset is not None and part.next_offset != self._committed.get(tp)
            }
            if not offsets or self._consumer is None:
                return
            labels = (self._setting.topic, self._setting.group)
            try:
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await self._consumer.commit(offsets)
            except (KafkaError, TimeoutError) as error:
                # Nothing is lost: what is not committed is delivered again.
                COMMITS.labels(*labels, "failed").inc()
                log.warning("commit_failed", consumption=self.name, error=f"{type(error).__name__}: {error}")
                return
            COMMITS.labels(*labels, "done").inc()
            self._committed.update(offsets)

    def _problem(self) -> str | None:
        if self._drain_requested.is_set():
            return "drained"
        if not self._is_assigned:
            return "waiting for partitions to be assigned"
        for tp, part in self._partitions.items():
            if part.is_held:
                return f"held: too many dead letters on {tp.topic}-{tp.partition}; one record is tried now and then"
            if part.crash is not None:
                return f"broken: {tp.topic}-{tp.partition}: {part.crash}"
            if part.stalled_s(now_s=self._measured_at_s) > STALL_S:
                return f"stalled: records wait on {tp.topic}-{tp.partition} but none arrives; see the log"
        if not self.is_caught_up:
            return f"catching up: lag {self.lag}"
        return None
