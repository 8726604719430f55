"""The only way to subscribe: FastStream polls raw records, the consumer policy does everything else."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from faststream import AckPolicy, Context
from faststream.kafka import KafkaBroker
from faststream.kafka import Topic as KafkaTopic
from faststream.kafka.message import KafkaMessage
from modelyard_events.event import Event
from modelyard_events.topics import Kind, Topic

from modelyard_runtime.clock import Clock
from modelyard_runtime.consume.allowance import Allowance
from modelyard_runtime.consume.batch_lane import BatchLane
from modelyard_runtime.consume.consumption import Consumption
from modelyard_runtime.consume.dead_letter_limit import DeadLetterLimit
from modelyard_runtime.consume.dead_letters import DeadLetters
from modelyard_runtime.consume.delivery import BatchHandler, Handler
from modelyard_runtime.consume.lane import Lane, LaneSetting, Ledger, OnChange
from modelyard_runtime.consume.lenient_records import read_leniently
from modelyard_runtime.consume.partition import StartOffsets
from modelyard_runtime.consume.policy import ConsumePolicy
from modelyard_runtime.consume.reading import Wanted
from modelyard_runtime.consume.record_lane import RecordLane
from modelyard_runtime.consume.senders import Senders

SESSION_TIMEOUT_MS = 10_000
HEARTBEAT_INTERVAL_MS = 3_000
MAX_POLL_INTERVAL_MS = 5 * 60 * 1_000
POLL_TIMEOUT_MS = 2
FETCH_MAX_WAIT_MS = 100
"""Also bounds how long a resumed partition waits behind a fetch that was already under way."""
REBALANCE_MARGIN_S = 20.0


def consume(
    broker: KafkaBroker,
    topic: Topic,
    *,
    prefix: str,
    group: str,
    on: Mapping[type[Event], Handler],
    dead_letters: DeadLetters,
    clock: Clock,
    policy: ConsumePolicy | None = None,
    senders: Senders | None = None,
) -> Consumption:
    """Subscribe handlers to a topic's events, under the one consumer policy.

    A handler returns when its event is applied (at least once: it must ignore what it knows), raises
    `TransientError` when time must act, `PermanentError` when nobody can; anything else is tried
    `attempts_max` times and then parked. Event types without a handler are ignored. `senders` judges who sent an
    event before a handler sees it; a topic that others write to must have it.
    """
    setting = _setting(topic, group=group, dead_letters=dead_letters, clock=clock, policy=policy, senders=senders)

    def build_lane(limit: DeadLetterLimit, on_change: OnChange) -> Lane:
        wanted = Wanted(kind=topic.kind, types=on)
        return RecordLane(Ledger(setting, wanted=wanted, limit=limit, on_change=on_change), on=on)

    consumption = Consumption(setting=setting, build_lane=build_lane, start_offsets=None)
    _subscribe(broker, topic, prefix=prefix, consumption=consumption, setting=setting)
    return consumption


def consume_batches(
    broker: KafkaBroker,
    topic: Topic,
    *,
    prefix: str,
    group: str,
    on_batch: BatchHandler,
    start_offsets: StartOffsets | None,
    dead_letters: DeadLetters,
    clock: Clock,
    policy: ConsumePolicy | None = None,
    senders: Senders | None = None,
) -> Consumption:
    """Subscribe a store to a topic: one partition's waiting records at once, offset and effect together.

    On assignment `start_offsets` is asked for the stored next offsets of the partitions, named by the
    broker's topic name (with the prefix) and number, and the consumer seeks there; a partition without
    one starts at the earliest record. `on_batch` raises `StaleOffsetError` when the store is already past
    the batch: then the stored offsets are asked for again. `senders` as in `consume`.
    """
    setting = _setting(topic, group=group, dead_letters=dead_letters, clock=clock, policy=policy, senders=senders)

    def build_lane(limit: DeadLetterLimit, on_change: OnChange) -> Lane:
        wanted = Wanted(kind=topic.kind)
        return BatchLane(Ledger(setting, wanted=wanted, limit=limit, on_change=on_change), on_batch=on_batch)

    consumption = Consumption(setting=setting, build_lane=build_lane, start_offsets=start_offsets)
    _subscribe(broker, topic, prefix=prefix, consumption=consumption, setting=setting)
    return consumption


def _setting(
    topic: Topic,
    *,
    group: str,
    dead_letters: DeadLetters,
    clock: Clock,
    policy: ConsumePolicy | None,
    senders: Senders | None,
) -> LaneSetting:
    if topic.kind is Kind.INGEST and senders is None:
        msg = f"others write to {topic.name}: say by `senders` who may"
        raise ValueError(msg)
    policy = policy or ConsumePolicy()
    return LaneSetting(
        topic=topic.name,
        group=group,
        policy=policy,
        unproved=Allowance(policy.unproved_parked_per_minute, seconds=time.monotonic),
        clock=clock,
        dead_letters=dead_letters,
        senders=senders,
    )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types.
    def __init__(self, consumption: Consumption) -> None:
        self._consumption = consumption

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._consumption.on_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._consumption.on_assigned(assigned)


def _subscribe(
    broker: KafkaBroker, topic: Topic, *, prefix: str, consumption: Consumption, setting: LaneSetting
) -> None:
    read_leniently()
    policy = setting.policy
    subscriber = broker.subscriber(
        # Not declared: a topic that FastStream makes by the way has one partition and the wrong retention.
        # Topics are made by `ensure_topics`.
        KafkaTopic(f"{prefix}{topic.name}", declare=False),
        group_id=setting.group,
        batch=True,
        max_records=policy.poll_records_max,
        batch_timeout_ms=POLL_TIMEOUT_MS,
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset=policy.auto_offset_reset,
        isolation_level="read_committed",
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
        max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
        rebalance_timeout_ms=int((policy.drain_timeout_s + REBALANCE_MARGIN_S) * 1_000),
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        listener=_Listener(consumption),
        # FastStream's own parser and decoder raise on headers that are null or not UTF-8, and then the
        # whole batch is lost without a trace: these two touch nothing.
        parser=_untouched,
        decoder=_undecoded,
        title=f"{topic.name}:{setting.group}",
    )
    consumption.bind(subscriber)

    async def take(message: Annotated[KafkaMessage, Context("message")]) -> None:
        consumption.take(message.raw_message)

    subscriber(take)


async def _untouched(records: tuple[Any, ...]) -> KafkaMessage:
    return KafkaMessage(raw_message=records, body=b"", consumer=_NoConsumer())


async def _undecoded(message: KafkaMessage) -> None:
    return None


class _NoConsumer:
    """FastStream wants something to acknowledge with; here nothing is acknowledged that way."""

    async def commit(self) -> None:
        msg = "offsets are committed by the consumption alone"
        raise RuntimeError(msg)

    def seek(self, partition: Any, offset: int) -> None:
        msg = "positions are moved by the consumption alone"
        raise RuntimeError(msg)
