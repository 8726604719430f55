"""One assigned partition: where it starts, when it is paused, how far it is."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from modelyard_runtime.consume.lane import Lane
from modelyard_runtime.consume.policy import ConsumePolicy
from modelyard_runtime.consume.retries import StoppedError

log = structlog.get_logger()

StartOffsets = Callable[[Collection[tuple[str, int]]], Awaitable[Mapping[tuple[str, int], int]]]

BROKER_TIMEOUT_S = 10.0
POSITION_TIMEOUT_S = 0.05


class Partition:
    """A partition from its assignment to its revocation.

    Its lane is replaced when the store turns out to be elsewhere, or when the log itself was rewound
    (a topic made anew, an operator's seek back): then the offsets seen so far mean nothing any more.
    """

    def __init__(
        self,
        tp: TopicPartition,
        *,
        consumer: AIOKafkaConsumer,
        build_lane: Callable[[Callable[[], None]], Lane],
        start_offsets: StartOffsets | None,
        policy: ConsumePolicy,
    ) -> None:
        self._tp = tp
        self._consumer = consumer
        self._start_offsets = start_offsets
        self._policy = policy
        self._build_lane = build_lane
        self._is_reading = start_offsets is None
        self._is_paused = False
        self._is_stopping = False
        self._rewound_to: int | None = None
        self._stale_count = 0
        self._end_offset: int | None = None
        self._captured_end: int | None = None
        self._position: int | None = None
        self._moved_at = 0.0
        self._last_place: tuple[int | None, int | None] = (None, None)
        self.crash: str | None = None
        self.is_caught_up = False
        self.lane = build_lane(self._regulate)
        self.task: asyncio.Task[None] | None = None

    @property
    def next_offset(self) -> int | None:
        """The offset to commit, or None while nothing is done."""
        return self.lane.ledger.offsets.next_offset

    @property
    def trouble(self) -> str | None:
        """What is being retried, as a sentence."""
        return self.lane.ledger.retries.trouble

    @property
    def trouble_s(self) -> float:
        """For how long something has been retried without success."""
        return self.lane.ledger.retries.trouble_s

    @property
    def is_held(self) -> bool:
        """Whether the partition is held because too many of its records were dead letters."""
        return self.lane.ledger.limit.is_held

    @property
    def lag(self) -> int:
        """Records from what is done to the end of the partition, as far as the broker told."""
        done = self._done_position
        ends = [end for end in (self._highwater, self._end_offset) if end is not None]
        return max(0, max(ends) - done) if ends and done is not None else 0

    @property
    def behind_since(self) -> datetime | None:
        """The time of the last event that is done, while others wait; None when nothing waits."""
        return self.lane.ledger.last_occurred_at if self.lag else None

    @property
    def _highwater(self) -> int | None:
        is_assigned = self._tp in self._consumer.assignment()
        highwater: int | None = self._consumer.highwater(self._tp) if is_assigned else None
        return highwater

    @property
    def _done_position(self) -> int | None:
        # What is polled reaches the lane in the same turn of the event loop, so with nothing outstanding
        # the polled position is the done position, over markers and compacted gaps as well. It is only
        # looked up now and then, so what is done may be ahead of it.
        oldest = self.lane.ledger.offsets.oldest_outstanding
        if oldest is not None:
            return oldest
        known = [offset for offset in (self._position, self.next_offset) if offset is not None]
        return max(known, default=None)

    def open(self, *, is_still: bool) -> None:
        """Start the lane, after seeking to the stored offset if there is a store. `is_still`: only pause."""
        if is_still:
            self._pause()
            return
        self._regulate()
        self.task = asyncio.create_task(self._run(), name=f"{self._tp.topic}-{self._tp.partition}")

    def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Take polled records in; never waits and never raises."""
        if not self._is_reading:
            return  # Fetched before a seek; they come again if they are wanted.
        if records[0].offset < self.lane.ledger.offsets.next_taken:
            self._rewind(records[0].offset)
            return
        try:
            self.lane.add(records)
            self._regulate()
        except Exception as error:
            self._break(error)

    def stop(self) -> None:
        """Start nothing more; what is in flight is finished."""
        self._is_stopping = True
        self.lane.ledger.stopping.set()

    def stalled_s(self, *, now_s: float) -> float:
        """For how long records have been waiting on the broker without one arriving; 0 when that is our doing.

        Says what no exception does: a record that the client cannot decode, a damaged log, a lost right.
        """
        is_our_doing = self._is_paused or self.lane.ledger.offsets.outstanding > 0
        return 0.0 if is_our_doing or not self.lag else now_s - self._moved_at

    async def measure(self, *, now_s: float, end_offset: int | None) -> None:
        """Look how far the partition is; `now_s` is the loop's time, `end_offset` news about the end, if any."""
        self._end_offset = end_offset or self._end_offset
        if not self._is_reading:
            return
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(POSITION_TIMEOUT_S):
                self._position = await self._consumer.position(self._tp)
        done = self._done_position
        if (place := (done, self._position)) != self._last_place or not self.stalled_s(now_s=now_s):
            self._last_place, self._moved_at = place, now_s
        if self._captured_end is not None and done is not None and done >= self._captured_end:
            self.is_caught_up = True

    async def _run(self) -> None:
        try:
            while not self._is_stopping:
                await self._find_place()
                await self.lane.run()
                if not self.lane.ledger.is_stale and self._rewound_to is None:
                    return
                self._start_over()
        except StoppedError:
            return
        except Exception as error:
            self._break(error)

    async def _find_place(self) -> None:
        """Seek to where to start, if that is not the committed offset, and capture the end."""
        retries = self.lane.ledger.retries
        if self._rewound_to is not None:
            self._consumer.seek(self._tp, self._rewound_to)
            self._rewound_to = None
        elif self._start_offsets is not None:
            await retries.insist(self._seek_to_stored, cause="offset")
        if self._captured_end is None:
            await retries.insist(self._capture_end, cause="offset")
        self._is_reading = True
        self._regulate()

    def _rewind(self, offset: int) -> None:
        log.warning("log_rewound", topic=self._tp.topic, partition=self._tp.partition, offset=offset)
        self._is_reading = False
        self._rewound_to = offset
        self._pause()
        self.lane.ledger.stopping.set()

    def _start_over(self) -> None:
        is_stale, settled = self.lane.ledger.is_stale, self.lane.ledger.settled_count
        self._is_reading = False
        self._pause()
        self.lane = self._build_lane(self._regulate)
        if self._is_stopping:
            self.lane.ledger.stopping.set()
        if is_stale:
            log.warning("offset_stale", topic=self._tp.topic, partition=self._tp.partition)
            self._stale_count = 1 if settled else self._stale_count + 1

    async def _seek_to_stored(self) -> None:
        assert self._start_offsets is not None
        if self._stale_count > 1:  # The store sent us where it then refused: do not spin.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._policy.backoff_s(self._stale_count)):
                    await self.lane.ledger.stopping.wait()
        name = (self._tp.topic, self._tp.partition)
        offset = (await self._start_offsets([name])).get(name)
        if offset is not None:
            self._consumer.seek(self._tp, offset)
            return
        async with asyncio.timeout(BROKER_TIMEOUT_S):
            await self._consumer.seek_to_beginning(self._tp)

    async def _capture_end(self) -> None:
        async with asyncio.timeout(BROKER_TIMEOUT_S):
            self._captured_end = (await self._consumer.end_offsets([self._tp]))[self._tp]
        self._end_offset = self._captured_end

    def _break(self, error: Exception) -> None:
        """A defect of ours: say so and stand still. To go on would mean to skip records."""
        self.crash = f"{type(error).__name__}: {error}"
        log.error("lane_broken", topic=self._tp.topic, partition=self._tp.partition, exc_info=error)
        self.lane.ledger.stopping.set()
        self._pause()

    def _regulate(self) -> None:
        """Pause or resume polling, as the state of the lane asks for."""
        ledger = self.lane.ledger
        limit = self._policy.poll_records_max
        is_full = ledger.offsets.outstanding >= (limit // 2 if self._is_paused else limit)
        is_held_up = ledger.retries.trouble is not None and self._policy.concurrency_max == 1
        if not self._is_reading or self.crash or is_full or is_held_up:
            self._pause()
        elif self._is_paused:
            self._is_paused = False
            with suppress(IllegalStateError):
                self._consumer.resume(self._tp)

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            with suppress(IllegalStateError):
                self._consumer.pause(self._tp)
