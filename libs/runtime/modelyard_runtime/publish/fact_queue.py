"""Facts for observers leave through a bounded queue: the caller never waits, and losses can be counted.

Each offered fact gets the next number of its source before anything is dropped, so that a gap in
`sequence` tells an observer how many facts are missing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from modelyard_events.codec import Record, encode
from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.topics import Topic

from modelyard_runtime.clock import Clock
from modelyard_runtime.health import HealthCheck
from modelyard_runtime.ids import NewId
from modelyard_runtime.publish.metrics import FACTS_DROPPED, FACTS_PUBLISHED, FACTS_WAITING
from modelyard_runtime.publish.replaceable_producer import REFUSALS, UNCLEAR

log = structlog.get_logger()

_Fact = tuple[Topic, Event, str, datetime, int]
_Encoded = tuple[str, str, Record]

UNCLEAR_MAX = 5
"""So often a fact is sent alone that the broker does not take without saying why; then it is dropped."""


class Sends(Protocol):
    """The producer that a queue empties into."""

    async def send(
        self, topic: str, value: bytes | None, /, *, key: bytes | None, headers: Sequence[tuple[str, bytes | None]]
    ) -> "asyncio.Future[Any]":
        """Hand a record over; the future is its acknowledgement. Raises KafkaError."""
        ...


class FactQueue:
    """A bounded queue in front of a producer. `source` names the instance: `/modelyard/router/<instance>`.

    `take_sequence` gives the next number of this source, from 1 when it is left out.

    The first fact after a pause waits `gather_s` for others to leave with it: records that travel together cost the
    producer and the broker about as much as one.

    At most `queue_max` facts wait or are under way; then new ones are dropped and counted by type, the
    older ones are kept. During an outage of the broker nothing else is lost.
    """

    def __init__(
        self,
        producer: Sends,
        *,
        source: str,
        prefix: str,
        clock: Clock,
        new_id: NewId,
        take_sequence: Callable[[], int] | None = None,
        queue_max: int = 10_000,
        in_flight_max: int = 1_000,
        retry_wait_s: float = 0.5,
        gather_s: float = 0.0,
    ) -> None:
        self.name = f"facts:{source}"
        self._producer = producer
        self._source = source
        self._prefix = prefix
        self._clock = clock
        self._new_id = new_id
        self._queue_max = queue_max
        self._in_flight_max = in_flight_max
        self._retry_wait_s = retry_wait_s
        self._gather_s = gather_s
        self._waiting: deque[_Fact] = deque()
        self._in_flight = 0
        self._take_sequence = take_sequence or count(1).__next__
        self._dropped = 0
        self._arrived = asyncio.Event()
        self._emptied = asyncio.Event()

    @property
    def dropped(self) -> int:
        """Facts dropped since the start."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """Facts that the broker has not acknowledged."""
        return len(self._waiting) + self._in_flight

    def offer(self, topic: Topic, event: Event, *, key: str, occurred_at: datetime | None = None) -> bool:
        """Queue a fact about `key`, or drop it when the queue is full. Never waits, never raises."""
        sequence = self._take_sequence()
        if len(self._waiting) + self._in_flight >= self._queue_max:
            self._drop(event.type)
            return False
        self._waiting.append((topic, event, key, occurred_at or self._clock(), sequence))
        if not self._arrived.is_set():
            self._arrived.set()
        return True

    def check(self) -> HealthCheck:
        """Always ok, for observers never make a service unready; the detail counts."""
        return HealthCheck(name=self.name, ok=True, detail=f"{self.waiting} waiting, {self._dropped} dropped")

    async def run(self) -> None:
        """Publish what is offered until cancelled; cancel after `drain`."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                if self._gather_s and len(self._waiting) < self._in_flight_max:
                    await asyncio.sleep(self._gather_s)
                await self._publish_some()
            self._emptied.set()

    async def drain(self, timeout_s: float) -> int:
        """Wait until the broker has everything, at most `timeout_s`. Returns how many facts it has not."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.waiting:
                    self._emptied.clear()
                    await self._emptied.wait()
        except TimeoutError:
            log.warning("facts_not_drained", source=self._source, waiting=self.waiting)
        return self.waiting

    async def _publish_some(self) -> None:
        """Publish the oldest facts side by side, and again those that failed, until the broker has them."""
        count = min(len(self._waiting), self._in_flight_max)
        pending = [self._encode(*self._waiting.popleft()) for _ in range(count)]
        try:
            while pending:
                self._in_flight = len(pending)
                FACTS_WAITING.labels(self._source).set(self.waiting)
                pending = await self._send(pending)
                if pending:
                    await asyncio.sleep(self._retry_wait_s)
        finally:
            self._in_flight = 0
            FACTS_WAITING.labels(self._source).set(self.waiting)

    def _encode(self, topic: Topic, event: Event, key: str, occurred_at: datetime, sequence: int) -> _Encoded:
        envelope = Envelope(
            id=self._new_id(),
            source=self._source,
            type=event.type,
            subject=key,
            occurred_at=occurred_at,
            sequence=sequence,
        )
        return f"{self._prefix}{topic.name}", event.type, encode(event, envelope)

    async def _send(self, facts: list[_Encoded]) -> list[_Encoded]:
        """Send the facts in order; returns those that must be sent again, in order.

        Facts of one key keep their order: a fact never overtakes one of its key that must be sent again.
        """
        acks = await self._hand_over_all(facts)
        # Facts of one batch share its acknowledgement.
        distinct = list(dict.fromkeys(acks))
        results = dict(zip(distinct, await asyncio.gather(*distinct, return_exceptions=True), strict=True))
        again: list[_Encoded] = []
        held: set[tuple[str, bytes | None]] = set()
        published: dict[str, int] = {}
        for fact, ack in zip(facts, acks, strict=False):
            result = results[ack]
            if not isinstance(result, BaseException):
                published[fact[1]] = published.get(fact[1], 0) + 1
                continue
            place = (fact[0], fact[2].key)
            is_refused = isinstance(result, (*REFUSALS, *UNCLEAR))
            left = await self._send_alone(fact) if is_refused and place not in held else [fact]
            if left:
                held.add(place)
                again += left
        for event_type, facts_published in published.items():
            FACTS_PUBLISHED.labels(event_type).inc(facts_published)
        return again + facts[len(acks) :]

    async def _hand_over_all(self, facts: list[_Encoded]) -> "list[asyncio.Future[object]]":
        """Hand facts over until one fails: a later one must not overtake it. Returns the acknowledgements."""
        acks: list[asyncio.Future[object]] = []
        failed: list[asyncio.Future[object]] = []

        def note(ack: "asyncio.Future[object]") -> None:
            if _has_failed(ack):
                failed.append(ack)

        for fact in facts:
            try:
                ack = await self._hand_over(fact)
            except KafkaError as error:
                # No metadata, or the producer's buffer is full: the rest would fare no better.
                log.warning("facts_not_sent", source=self._source, error=f"{type(error).__name__}: {error}")
                break
            if not acks or ack is not acks[-1]:
                ack.add_done_callback(note)
            acks.append(ack)
            if failed or _has_failed(ack):
                break
        return acks

    async def _send_alone(self, fact: _Encoded) -> list[_Encoded]:
        """Send a fact of a batch that was refused: is it the one? Returns it if it must be sent again."""
        for _ in range(UNCLEAR_MAX):
            try:
                await (await self._hand_over(fact))
            except REFUSALS:
                break
            except UNCLEAR:
                await asyncio.sleep(self._retry_wait_s)
                continue
            except KafkaError:
                return [fact]
            FACTS_PUBLISHED.labels(fact[1]).inc()
            return []
        self._drop(fact[1])
        log.error("fact_refused", source=self._source, event_type=fact[1])
        return []

    async def _hand_over(self, fact: _Encoded) -> "asyncio.Future[object]":
        topic, _, record = fact
        try:
            return await self._producer.send(topic, record.value, key=record.key, headers=list(record.headers))
        except MessageSizeTooLargeError as error:
            refused: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    def _drop(self, event_type: str) -> None:
        self._dropped += 1
        FACTS_DROPPED.labels(event_type).inc()


def _has_failed(ack: "asyncio.Future[object]") -> bool:
    return ack.done() and not ack.cancelled() and ack.exception() is not None
