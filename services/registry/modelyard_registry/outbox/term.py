"""What a leader of the relay does while it leads: rounds of reading rows, sending them and forgetting them."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog
from modelyard_runtime.clock import Clock
from modelyard_runtime.ids import NewId
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.publish.replaceable_producer import breaks_sequence
from modelyard_runtime.state.keys import StateKeys, StateSigner

from modelyard_registry.outbox import metrics
from modelyard_registry.outbox.leadership import LeaderSession
from modelyard_registry.outbox.ordered_producer import OrderedProducer, Sent
from modelyard_registry.outbox.refused_records import RefusedRecords
from modelyard_registry.outbox.repair import StateTopicsTail
from modelyard_registry.outbox.rows import Outgoing, UnpublishedRow, outgoing_row
from modelyard_registry.outbox.set_aside import SetAsideRows
from modelyard_registry.outbox.state_documents import StateDocuments
from modelyard_registry.outbox.table import OutboxTable

log = structlog.get_logger()

ROUND_ROWS_MAX = 5_000
POLL_BUSY_S = 0.010
POLL_IDLE_S = 0.250
REFUSED_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """Where the relay reads and writes. `postgres_dsn` must lead to the primary directly, past any pooler.

    `signer` signs the documents of the state topics; without one they leave unsigned.
    """

    postgres_dsn: str
    kafka: KafkaConnection
    topic_prefix: str
    signer: StateSigner | None = None


class _SendFailedError(TimeoutError):
    """The broker did not take everything; the rest is sent again, by a new producer."""


class _BatchRefusedError(_SendFailedError):
    """The broker answered that it does not take a batch: everything else about the term is sound."""


class Term:
    """One leader's time in office."""

    def __init__(
        self,
        settings: RelaySettings,
        session: LeaderSession,
        *,
        clock: Clock,
        new_id: NewId,
        woken: asyncio.Event,
    ) -> None:
        self.table = OutboxTable(session)
        self.refused = RefusedRecords(
            SetAsideRows(session), kafka=settings.kafka, prefix=settings.topic_prefix, clock=clock
        )
        self._settings = settings
        self._session = session
        self._clock = clock
        self._new_id = new_id
        self._woken = woken
        self._generation = 0
        self._documents: StateDocuments | None = None
        # Indexed entries of an earlier leader, or of a failed send, go before any new index is given.
        self._has_indexed_entries = True
        self._has_said_documents = False

    def alarm(self) -> str:
        """What a person should look at, or nothing."""
        of_documents = self._documents.trouble() if self._documents is not None else ""
        return "; ".join(each for each in (self.refused.alarm, of_documents) if each)

    async def publish(self) -> None:
        """Publish until something breaks: then raises one of SEND_ERRORS or LeadershipLostError."""
        async with AsyncExitStack() as opened:
            self._generation = await self.table.take_generation()
            signer = self._settings.signer
            tail = StateTopicsTail(
                kafka=self._settings.kafka,
                prefix=self._settings.topic_prefix,
                keys=StateKeys([signer.public_key]) if signer is not None else None,
                on_overtaken=self._woken.set,
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
                return await self._settle(await self._send(producer, records))

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
        pause_s = POLL_BUSY_S
        while True:
            self._woken.clear()
            try:
                count = await self._publish_all(producer, documents)
            except _BatchRefusedError as error:
                log.warning("relay_batch_refused", error=str(error))
                await asyncio.sleep(REFUSED_PAUSE_S)
                await producer.renew()
                continue
            if count >= ROUND_ROWS_MAX:
                continue
            if count:
                pause_s = POLL_BUSY_S
            try:
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()
                pause_s = POLL_BUSY_S
            except TimeoutError:
                pause_s = min(pause_s * 2, POLL_IDLE_S)

    async def _publish_all(self, producer: OrderedProducer, documents: StateDocuments) -> int:
        """One look at everything that is to be published. Returns how many records that were."""
        if not self._has_said_documents:  # Once a term: a failed send says nothing about a leader before.
            await documents.say_all()
            self._has_said_documents = True
        count = await self._publish_round(producer)
        count += await documents.repair()
        if count < ROUND_ROWS_MAX:
            await documents.outrank_log()
            self._generation = documents.generation
        return count

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
                facts_sent = group.create_task(self._send(producer, [self._outgoing(row) for row in facts]))
                entries_sent = group.create_task(self._send_entries(producer, entries))
            count = await self._settle([*facts_sent.result(), *entries_sent.result()])
            self.refused.all_were_taken()
            return count

    async def _send_entries(self, producer: OrderedProducer, entries: list[UnpublishedRow]) -> list[Sent]:
        """Send audit entries in the order of their indexes."""
        if self._has_indexed_entries:
            indexed = await self.table.list_indexed(limit=ROUND_ROWS_MAX)
            if indexed:
                return await self._send(producer, [self._outgoing(row) for row in indexed])
            self._has_indexed_entries = False
        if not entries:
            return []
        indexes = await self.table.give_log_indexes([row.audit_entry_id or "" for row in entries])
        self._has_indexed_entries = True
        sent = await self._send(
            producer,
            [
                outgoing_row(row, sequence=indexes[row.audit_entry_id or ""], generation=self._generation)
                for row in entries
            ],
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
        for group in failed:
            await self.refused.take(group)
        if failed:
            is_refused = all(breaks_sequence(group.error) for group in failed)
            error = _BatchRefusedError if is_refused else _SendFailedError
            raise error(f"{failed[0].topic}: {failed[0].error!r}")
        return sum(group.acknowledged for group in sent)

    async def _send(self, producer: OrderedProducer, records: Sequence[Outgoing]) -> list[Sent]:
        return await producer.send(self.refused.sendable(records), alone=self.refused.alone)

    def _outgoing(self, row: UnpublishedRow) -> Outgoing:
        sequence = row.sequence or 0
        outgoing = outgoing_row(row, sequence=sequence, generation=self._generation)
        if self._documents is None:
            return outgoing
        return self._documents.leaving(outgoing, key=row.key, order=(self._generation, sequence))
