"""A partition says when it stands still although records wait, and whose doing that is."""

import time
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from modelyard_events.topics import Kind
from modelyard_runtime.clock import utc_now
from modelyard_runtime.consume.allowance import Allowance
from modelyard_runtime.consume.dead_letter_limit import DeadLetterLimit
from modelyard_runtime.consume.dead_letters import DeadLetters
from modelyard_runtime.consume.lane import LaneSetting, Ledger
from modelyard_runtime.consume.partition import Partition
from modelyard_runtime.consume.policy import ConsumePolicy
from modelyard_runtime.consume.reading import Wanted
from modelyard_runtime.consume.record_lane import RecordLane

TP = TopicPartition("entity-changes.v1", 0)
POLICY = ConsumePolicy(dead_letters_in_a_row_max=1)


class MemoryConsumer:
    """A consumer's twin with one partition: `position` is what was polled, `end` the end of the log."""

    def __init__(self, *, end: int) -> None:
        self.at = 0
        self.end = end
        self.paused_now = False

    def assignment(self) -> set[TopicPartition]:
        return {TP}

    def highwater(self, partition: TopicPartition) -> int:
        return self.end

    async def position(self, partition: TopicPartition) -> int:
        return self.at

    def pause(self, partition: TopicPartition) -> None:
        self.paused_now = True

    def resume(self, partition: TopicPartition) -> None:
        self.paused_now = False


def a_partition(consumer: MemoryConsumer) -> tuple[Partition, DeadLetterLimit]:
    limit = DeadLetterLimit(consecutive_max=1, ratio_max=1, window=10, hold_initial_s=5, hold_max_s=60)
    letters = DeadLetters(None)  # No test here parks a record.
    unproved = Allowance(60, seconds=time.monotonic)
    setting = LaneSetting(
        topic=TP.topic, group="test", policy=POLICY, clock=utc_now, dead_letters=letters, unproved=unproved
    )
    wanted = Wanted(kind=Kind.INGEST)

    def build_lane(on_change: Any) -> RecordLane:
        return RecordLane(Ledger(setting, wanted=wanted, limit=limit, on_change=on_change), on={})

    return Partition(TP, consumer=consumer, build_lane=build_lane, start_offsets=None, policy=POLICY), limit


async def test_records_that_wait_without_one_arriving_are_a_stall() -> None:
    part, _ = a_partition(MemoryConsumer(end=10))

    for now_s in (100.0, 110.0, 140.0):
        await part.measure(now_s=now_s, end_offset=None)

    assert part.lag == 10
    assert part.stalled_s(now_s=140.0) == 40.0


async def test_progress_ends_a_stall() -> None:
    consumer = MemoryConsumer(end=10)
    part, _ = a_partition(consumer)
    await part.measure(now_s=100.0, end_offset=None)

    consumer.at = 4
    await part.measure(now_s=140.0, end_offset=None)

    assert part.lag == 6
    assert part.stalled_s(now_s=145.0) == 5.0


async def test_an_empty_partition_is_not_stalled() -> None:
    part, _ = a_partition(MemoryConsumer(end=0))

    await part.measure(now_s=100.0, end_offset=None)
    await part.measure(now_s=500.0, end_offset=None)

    assert part.stalled_s(now_s=500.0) == 0.0


async def test_a_partition_that_we_hold_up_ourselves_is_not_stalled() -> None:
    consumer = MemoryConsumer(end=10)
    part, limit = a_partition(consumer)
    await part.measure(now_s=100.0, end_offset=None)

    part.lane.ledger.offsets.take(0)
    limit.count(is_dead=True)
    await part.measure(now_s=200.0, end_offset=None)

    assert part.is_held
    assert part.stalled_s(now_s=200.0) == 0.0


async def test_the_broker_tells_the_lag_of_a_partition_that_is_not_fetched() -> None:
    part, _ = a_partition(MemoryConsumer(end=10))

    await part.measure(now_s=100.0, end_offset=25)

    assert part.lag == 25


async def test_records_that_break_a_lane_stop_the_partition_instead_of_being_skipped() -> None:
    consumer = MemoryConsumer(end=10)
    part, _ = a_partition(consumer)

    part.take(_records_without_a_key_attribute())

    assert part.crash is not None
    assert consumer.paused_now
    assert part.next_offset is None


def _records_without_a_key_attribute() -> Sequence[Any]:
    class NotARecord:
        offset = 0

    return [NotARecord()]
