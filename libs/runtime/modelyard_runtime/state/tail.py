"""A service's picture of a compacted topic, kept by a bare tail.

No consumer group: every process reads everything, from the beginning, and then follows. Once it has caught
up it answers from what it last knew, however long Kafka is away, and says how old that is.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from modelyard_runtime.health import HealthCheck
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.state.keys import StateKeys
from modelyard_runtime.state.proof import StateProof

log = structlog.get_logger()

POLL_MS = 250
PROBE_EVERY_S = 1.0
PROBE_TIMEOUT_S = 3.0
PROBE_FAILURES_MAX = 5
REQUEST_TIMEOUT_MS = 5_000
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
RECONNECT_WAITS_S = (0.1, 0.5, 1.0, 2.0)
AWAY_AFTER_S = 5.0
CHECKED_AT_ONCE = 10
"""Records whose signatures are checked in one go, between requests: about 2 ms of the event loop."""

Seconds = Callable[[], float]
"""Answers seconds that only rise."""


class StateTail(ABC):
    """Reads one compacted topic for ever; what its records mean is its subclass's business.

    A subclass has a `name`, applies records in the order of the log, and says in a few words what it holds. It never
    sees a record that the registry did not sign, unless `keys` is None: then every record is believed.
    """

    name: ClassVar[str]

    def __init__(self, *, kafka: KafkaConnection, topic: str, keys: StateKeys | None, seconds: Seconds) -> None:
        self.has_caught_up = False
        self._proof = StateProof(keys, topic=topic, seconds=seconds)
        self._kafka = kafka
        self._topic = topic
        self._seconds = seconds
        self._confirmed_at_s: float | None = None
        self._trouble = "Kafka has not been reached yet"

    @abstractmethod
    def apply(self, records: list[Any]) -> None:
        """Take in the next records of the log; must not raise for any record that somebody may have written."""

    @abstractmethod
    def holding(self) -> str:
        """What is held, for people, such as `3 routes`."""

    def on_looked(self) -> None:  # noqa: B027 - most have nothing to measure
        """Called after each look at the topic, several times a second."""

    @property
    def age_s(self) -> float:
        """Seconds since Kafka last confirmed that the picture is complete; infinite when it never did."""
        return float("inf") if self._confirmed_at_s is None else self._seconds() - self._confirmed_at_s

    def check(self) -> HealthCheck:
        """Ready once caught up, and from then on: an old picture answers better than none."""
        if not self.has_caught_up:
            return HealthCheck(name=self.name, ok=False, detail=f"reading {self._topic}: {self._trouble}")
        detail = f"{self.holding()}, complete as of {self.age_s:.1f} s ago"
        if self.age_s > AWAY_AFTER_S:
            detail += f"; answering from the last known state: {self._trouble}"
        if forged := self._proof.trouble():
            detail += f"; {forged}"
        return HealthCheck(name=self.name, ok=True, detail=detail, degraded=bool(forged))

    async def follow(self) -> None:
        """Read the topic and follow it until cancelled. Reconnects for ever."""
        attempt = 0
        while True:
            try:
                await self._read_and_follow()
            except (KafkaError, OSError, TimeoutError) as error:
                self._trouble = f"{type(error).__name__}: {error}"
                log.warning("state_not_read", topic=self._topic, age_s=self.age_s, error=self._trouble)
            was_away = self.age_s > AWAY_AFTER_S
            attempt = min(attempt + 1, len(RECONNECT_WAITS_S)) if was_away else 1
            await asyncio.sleep(RECONNECT_WAITS_S[attempt - 1])

    async def _read_and_follow(self) -> None:
        consumer = AIOKafkaConsumer(
            self._topic,
            **self._kafka.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_min_bytes=1,
            fetch_max_wait_ms=POLL_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=100,
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await consumer.start()
                ends = await consumer.end_offsets(list(consumer.assignment()))
                await consumer.seek_to_beginning(*ends)
            await self._catch_up(consumer, ends)
            await self._tail(consumer)
        finally:
            await _within(STOP_TIMEOUT_S, consumer.stop())

    async def _catch_up(self, consumer: Any, ends: Mapping[TopicPartition, int]) -> None:
        """Read up to `ends`, which were captured before reading: what is newer, the tail brings."""
        while not await _has_reached(consumer, ends):
            await self._apply(await consumer.getmany(timeout_ms=POLL_MS))
        self._confirm()
        if not self.has_caught_up:
            self.has_caught_up = True
            log.info("state_caught_up", topic=self._topic, holding=self.holding())

    async def _tail(self, consumer: Any) -> None:
        failures = 0
        probe_at_s = self._seconds() + PROBE_EVERY_S
        while True:
            await self._apply(await consumer.getmany(timeout_ms=POLL_MS))
            self.on_looked()
            if self._seconds() < probe_at_s:
                continue
            # An idle topic and a lost broker look alike to `getmany`: only an answer tells them apart.
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    ends = await consumer.end_offsets(list(consumer.assignment()))
                    if await _has_reached(consumer, ends):
                        self._confirm()
                failures = 0
            except (KafkaError, OSError, TimeoutError) as error:
                failures += 1
                self._trouble = f"Kafka does not answer ({type(error).__name__})"
                if failures >= PROBE_FAILURES_MAX:
                    raise
            probe_at_s = self._seconds() + PROBE_EVERY_S

    def _confirm(self) -> None:
        self._confirmed_at_s = self._seconds()

    async def _apply(self, batches: Mapping[TopicPartition, list[Any]]) -> None:
        proved = []
        for count, record in enumerate((record for found in batches.values() for record in found), start=1):
            if self._proof.is_proved(record, is_new=self.has_caught_up):
                proved.append(record)
            if self._proof.is_checked and count % CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)
        if proved:
            self.apply(proved)


async def _has_reached(consumer: Any, ends: Mapping[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return False
    return True


async def _within(timeout_s: float, work: Awaitable[None]) -> None:
    """Do `work`, but not for longer than `timeout_s`: closing must not hang on a broker that is away."""
    try:
        async with asyncio.timeout(timeout_s):
            await work
    except TimeoutError:
        log.warning("state_consumer_not_closed", timeout_s=timeout_s)
