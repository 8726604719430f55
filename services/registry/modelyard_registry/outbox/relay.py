"""The relay: publishes what the outbox holds, in order, at least once, by one leader at a time.

Rows are read by id among those that are still there, so none can be missed; they are deleted after the broker
has acknowledged them, so none can be lost. Rows of one key were committed in the order of their ids, because
a key's lock is taken before its row is written: reading by id and sending by partition keeps that order.
Audit entries get their index in a commit of its own before they are sent: a crash sends the same index again.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog
from modelyard_runtime.clock import Clock
from modelyard_runtime.health import HealthCheck
from modelyard_runtime.ids import NewId
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.state_keys import StateKeys, StateSigner

from modelyard_registry.outbox import metrics
from modelyard_registry.outbox.leadership import (
    DATABASE_ERRORS,
    LeaderSession,
    LeadershipLostError,
    open_session,
)
from modelyard_registry.outbox.ordered_producer import SEND_ERRORS, OrderedProducer, Sent
from modelyard_registry.outbox.repair import StateTopicsTail
from modelyard_registry.outbox.rows import Outgoing, UnpublishedRow, outgoing_row
from modelyard_registry.outbox.state_documents import StateDocuments
from modelyard_registry.outbox.table import OutboxTable

log = structlog.get_logger()

ROUND_ROWS_MAX = 5_000
POLL_BUSY_S = 0.010
SOON_S = 0.010
POLL_IDLE_S = 0.250
STANDBY_S = 0.250
BACKOFF_S = 0.5
GAUGES_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """Where the relay reads and writes. `postgres_dsn` must lead to the primary directly, past any pooler.

    `signer` signs the documents of the state topics; without one they leave unsigned.
    """

    postgres_dsn: str
    kafka: KafkaConnection
    topic_prefix: str
    signer: StateSigner | None = None


class Relay:
    """Runs beside the service: leads when it can, stands by otherwise."""

    def __init__(self, settings: RelaySettings, *, clock: Clock, new_id: NewId) -> None:
        self._settings = settings
        self._clock = clock
        self._new_id = new_id
        self._news = asyncio.Event()
        self._is_called = False
        self._last_called_at = 0.0
        self._role = "starting"
        self._trouble = ""
        self._term: _Term | None = None

    def wake(self) -> None:
        """Something was committed, here: do not wait for the next poll."""
        self._news.set()

    def wake_soon(self) -> None:
        """Something that nobody routes by was committed, here: within `SOON_S` of the last one it waits for that long.

        So one that comes alone is carried at once, and many are carried together.
        """
        if self._is_called:
            return
        loop = asyncio.get_running_loop()
        self._is_called = True
        loop.call_at(max(self._last_called_at + SOON_S, loop.time()), self._wake_now)

    def _wake_now(self) -> None:
        self._is_called = False
        self._last_called_at = asyncio.get_running_loop().time()
        self._news.set()

    def check(self) -> HealthCheck:
        """Healthy as a leader or a standby. A broker that is away is told, but writes go on without it."""
        is_ok = self._role in ("leader", "standby")
        detail = f"{self._role}; {self._trouble}" if self._trouble else self._role
        if alarm := self._term.alarm() if self._term is not None else "":
            detail += f"; {alarm}"
        return HealthCheck(name="relay", ok=is_ok, detail=detail, degraded=bool(alarm))

    async def run(self) -> None:
        """Lead or stand by until cancelled; whatever breaks is tried again."""
        while True:
            try:
                await self._take_part()
            except* (LeadershipLostError, *DATABASE_ERRORS) as errors:
                self._role, self._trouble = "no session with the database", _first_of(errors)
                log.warning("relay_stepped_down", error=self._trouble)
            self._term = None
            metrics.RELAY_LEADER.set(0)
            await asyncio.sleep(BACKOFF_S)

    async def _take_part(self) -> None:
        async with open_session(self._settings.postgres_dsn) as session:
            while not await session.try_to_lead():
                self._role, self._trouble = "standby", ""
                await asyncio.sleep(STANDBY_S)
            term = _Term(self._settings, session, clock=self._clock, new_id=self._new_id, news=self._news)
            self._term = term
            self._role, self._trouble = "leader", ""
            metrics.RELAY_LEADER.set(1)
            log.info("relay_leads")
            async with asyncio.TaskGroup() as group:
                group.create_task(session.keep_alive())
                group.create_task(self._serve(term))
                group.create_task(self._watch(term))

    async def _serve(self, term: "_Term") -> None:
        """Publish for as long as this process leads; a broken producer is replaced, not the leader."""
        while True:
            try:
                await term.publish()
            except* SEND_ERRORS as errors:
                self._trouble = f"not everything was acknowledged: {_first_of(errors)}"
                log.warning("relay_send_failed", error=_first_of(errors))
            await asyncio.sleep(BACKOFF_S)

    async def _watch(self, term: "_Term") -> None:
        while True:
            rows, oldest = await term.table.backlog()
            lag_s = (self._clock() - oldest).total_seconds() if oldest is not None else 0.0
            metrics.RELAY_OUTBOX_ROWS.set(rows)
            metrics.RELAY_LAG_SECONDS.set(max(lag_s, 0.0))
            if rows == 0:
                self._trouble = ""
            elif self._trouble or lag_s > 1.0:
                self._trouble = f"{rows} rows wait, the oldest for {lag_s:.1f} s"
            await asyncio.sleep(GAUGES_S)


class _SendFailedError(TimeoutError):
    """The broker did not take everything; the rest is sent again, by a new producer."""


class _Term:
    """One leader's time in office."""

    def __init__(
        self,
        settings: RelaySettings,
        session: LeaderSession,
        *,
        clock: Clock,
        new_id: NewId,
        news: asyncio.Event,
    ) -> None:
        self.table = OutboxTable(session)
        self._settings = settings
        self._session = session
        self._clock = clock
        self._new_id = new_id
        self._news = news
        self._generation = 0
        self._documents: StateDocuments | None = None
        # Indexed entries of an earlier leader, or of a failed send, go before any new index is given.
        self._has_indexed_entries = True

    def alarm(self) -> str:
        """What a person should look at on the state topics, or nothing."""
        return self._documents.trouble() if self._documents is not None else ""

    async def publish(self) -> None:
        """Publish until something breaks: then raises one of SEND_ERRORS or LeadershipLostError."""
        async with AsyncExitStack() as opened:
            self._generation = await self.table.take_generation()
            signer = self._settings.signer
            tail = StateTopicsTail(
                kafka=self._settings.kafka,
                prefix=self._settings.topic_prefix,
                keys=StateKeys([signer.public_key]) if signer is not None else None,
                on_overtaken=self._news.set,
            )
            opened.push_async_callback(tail.stop)
            await tail.start()
            producer = await opened.enter_async_context(
                OrderedProducer(
                    kafka=self._settings.kafka,
                    prefix=self._settings.topic_prefix,
                    client_id="modelyard-relay",
                    may_send=self._session.confirm,
                )
            )

            async def send(records: Sequence[Outgoing]) -> int:
                return await self._settle(await producer.send(records))

            self._documents = StateDocuments(
                self.table,
                tail,
                signer=signer,
                generation=self._generation,
                send=send,
                clock=self._clock,
                new_id=self._new_id,
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(tail.follow())
                group.create_task(self._publish_rounds(producer, self._documents))

    async def _publish_rounds(self, producer: OrderedProducer, documents: StateDocuments) -> None:
        await documents.say_all()
        pause_s = POLL_BUSY_S
        while True:
            self._news.clear()
            count = await self._publish_round(producer)
            count += await documents.repair()
            if count >= ROUND_ROWS_MAX:
                continue
            await documents.outrank_log()
            self._generation = documents.generation
            if count:
                pause_s = POLL_BUSY_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._news.wait()
                pause_s = POLL_BUSY_S
            except TimeoutError:
                pause_s = min(pause_s * 2, POLL_IDLE_S)

    async def _publish_round(self, producer: OrderedProducer) -> int:
        """One look at the outbox. Returns how many records were published."""
        rows = await self.table.list_unpublished(limit=ROUND_ROWS_MAX)
        if not rows:
            return 0
        with metrics.RELAY_ROUND_SECONDS.time():
            facts = [row for row in rows if row.audit_entry_id is None]
            entries = [row for row in rows if row.audit_entry_id is not None]
            # Facts do not wait for the commit that numbers the entries.
            async with asyncio.TaskGroup() as group:
                facts_sent = group.create_task(producer.send([self._outgoing(row) for row in facts]))
                entries_sent = group.create_task(self._send_entries(producer, entries))
            return await self._settle([*facts_sent.result(), *entries_sent.result()])

    async def _send_entries(self, producer: OrderedProducer, entries: list[UnpublishedRow]) -> list[Sent]:
        """Send audit entries in the order of their indexes."""
        if self._has_indexed_entries:
            indexed = await self.table.list_indexed(limit=ROUND_ROWS_MAX)
            if indexed:
                return await producer.send([self._outgoing(row) for row in indexed])
            self._has_indexed_entries = False
        if not entries:
            return []
        indexes = await self.table.give_log_indexes([row.audit_entry_id or "" for row in entries])
        self._has_indexed_entries = True
        sent = await producer.send(
            [
                outgoing_row(row, sequence=indexes[row.audit_entry_id or ""], generation=self._generation)
                for row in entries
            ]
        )
        self._has_indexed_entries = any(each.error for each in sent)
        return sent

    async def _settle(self, sent: Sequence[Sent]) -> int:
        """Forget what was acknowledged. Raises when not everything was."""
        row_ids = [
            each.row_id for group in sent for each in group.records[: group.acknowledged] if each.row_id is not None
        ]
        if row_ids:
            await self.table.delete(row_ids, published_at=self._clock())
        for group in sent:
            metrics.RELAY_PUBLISHED.labels(group.topic).inc(group.acknowledged)
            if group.error is not None:
                metrics.RELAY_FAILURES.labels(group.topic).inc()
        failed = [group for group in sent if group.error is not None]
        if failed:
            raise _SendFailedError(f"{failed[0].topic}: {failed[0].error!r}")
        return sum(group.acknowledged for group in sent)

    def _outgoing(self, row: UnpublishedRow) -> Outgoing:
        sequence = row.sequence or 0
        outgoing = outgoing_row(row, sequence=sequence, generation=self._generation)
        if self._documents is None:
            return outgoing
        return self._documents.leaving(outgoing, key=row.key, order=(self._generation, sequence))


def _first_of(errors: BaseExceptionGroup[BaseException]) -> str:
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return repr(first)
