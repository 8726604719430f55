"""State, audit and news are one transaction: the unit of work that every change goes through."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from modelyard_events.event import Event
from modelyard_events.topics import AUDIT_LOG, Topic
from modelyard_runtime.clock import Clock
from modelyard_runtime.ids import NewId

from modelyard_registry.audit.entries import AuditEntry, insert_entries
from modelyard_registry.database import Connection, database_errors
from modelyard_registry.outbox.append import OutboxRow, append_row


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """On whose behalf a change is made, and which story it belongs to."""

    actor: str
    request_id: str
    correlation_id: str | None
    causation_id: str | None


class Pool(Protocol):
    """Lends connections: the `Database`, or a bare asyncpg pool."""

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for the length of a block."""
        ...


class Transaction:
    """One open transaction. What is written through it is kept whole, or not at all.

    `now` is one moment for the whole transaction.
    """

    def __init__(self, connection: Connection, *, context: RequestContext, now: datetime, new_id: NewId) -> None:
        self.connection = connection
        self.context = context
        self.now = now
        self.new_id = new_id
        self._entries: list[tuple[AuditEntry, RequestContext]] = []

    def on_behalf_of(self, context: RequestContext) -> "Transaction":
        """The same transaction in somebody else's name."""
        other = Transaction(self.connection, context=context, now=self.now, new_id=self.new_id)
        other._entries = self._entries
        return other

    async def append_fact(self, topic: Topic, event: Event, *, key: str, sequence: int) -> None:
        """Write `event` to the outbox, for `topic` under `key`.

        `sequence` comes from the row that the caller has locked for that key, one higher each time.
        """
        await self._append(topic, event, key=key, sequence=sequence, audit_entry_id=None)

    async def record_audit(
        self,
        *,
        project: str,
        action: str,
        subject: str,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        reason: str | None = None,
        digest: str | None = None,
    ) -> None:
        """Have an audit entry written with its place in the outbox, last of all that the transaction writes.

        `action` is `noun.past_participle`, such as `alias.moved`; `subject` the path of what changed under
        its project, such as `registered-models/risk/versions/3`. Values must be such as JSON has.
        """
        entry = AuditEntry(
            id=UUID(self.new_id()),
            project=project,
            actor=self.context.actor,
            action=action,
            subject=subject,
            recorded_at=self.now,
            before=None if before is None else dict(before),
            after=None if after is None else dict(after),
            reason=reason,
            digest=digest,
            request_id=self.context.request_id,
        )
        self._entries.append((entry, self.context))

    async def write_entries(self) -> None:
        """Write the audit entries: the unit of work does so before it commits.

        Last, because the chains that they continue are locked from then on: whoever writes about the same
        subject waits for the commit only.
        """
        if not self._entries:
            return
        contexts = [context for _, context in self._entries]
        entries = await insert_entries(self.connection, [entry for entry, _ in self._entries])
        for entry, context in zip(entries, contexts, strict=True):
            await self.on_behalf_of(context)._append(
                AUDIT_LOG, entry.event(), key=entry.project, sequence=None, audit_entry_id=entry.id
            )
        self._entries.clear()

    async def _append(
        self, topic: Topic, event: Event, *, key: str, sequence: int | None, audit_entry_id: UUID | None
    ) -> None:
        row = OutboxRow(
            topic=topic.name,
            key=key,
            event_id=self.new_id(),
            event=event,
            sequence=sequence,
            audit_entry_id=audit_entry_id,
            occurred_at=self.now,
            actor=self.context.actor,
            correlation_id=self.context.correlation_id,
            causation_id=self.context.causation_id,
        )
        await append_row(self.connection, row)


class UnitOfWork:
    """Opens transactions: `async with unit_of_work(context) as tx:` commits, or undoes everything."""

    def __init__(self, pool: Pool, *, clock: Clock, new_id: NewId, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._clock = clock
        self._new_id = new_id
        self._wake = wake

    @asynccontextmanager
    async def __call__(self, context: RequestContext) -> AsyncIterator[Transaction]:
        """A transaction at READ COMMITTED; after the commit the relay is woken in this process.

        Raises DatabaseUnavailableError when the database is away or too busy.
        """
        with database_errors():
            async with self._pool.acquire() as connection, connection.transaction(isolation="read_committed"):
                tx = Transaction(connection, context=context, now=self._clock(), new_id=self._new_id)
                yield tx
                await tx.write_entries()
        self._wake()
