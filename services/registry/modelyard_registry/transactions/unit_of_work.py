"""The unit of work that every change goes through: state, audit entries and outbox rows are one transaction."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from modelyard_events.event import Event
from modelyard_events.topics import AUDIT_LOG, Topic
from modelyard_runtime.access.principals import Identity
from modelyard_runtime.clock import Clock
from modelyard_runtime.ids import NewId

from modelyard_registry.transactions.audit_actions import AuditAction, RefusedAction
from modelyard_registry.transactions.audit_and_outbox import write_audit_and_outbox
from modelyard_registry.transactions.audit_entries import AuditEntry, chain_entries
from modelyard_registry.transactions.database import Connection, database_errors
from modelyard_registry.transactions.outbox_rows import Origin, OutboxRow


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """On whose behalf a change is made, and which story it belongs to."""

    actor: str
    request_id: str
    correlation_id: str | None
    causation_id: str | None
    identity: Identity | None = None
    """Who stands behind the actor, when the change is a caller's."""

    @property
    def who(self) -> Identity:
        """The actor, and who stands behind it."""
        return self.identity or Identity(actor=self.actor, stands_for=self.actor)


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
        self._rows: list[OutboxRow] = []
        self._entries: list[tuple[AuditEntry, Origin]] = []
        self._origin = Origin(
            occurred_at=now,
            actor=context.actor,
            correlation_id=context.correlation_id,
            causation_id=context.causation_id,
        )

    def on_behalf_of(self, context: RequestContext) -> "Transaction":
        """The same transaction in somebody else's name."""
        other = Transaction(self.connection, context=context, now=self.now, new_id=self.new_id)
        other._rows, other._entries = self._rows, self._entries
        return other

    async def append_fact(self, topic: Topic, event: Event, *, key: str, sequence: int) -> None:
        """Have `event` written to the outbox, for `topic` under `key`.

        `sequence` comes from the row that the caller has locked for that key, one higher each time. Raises
        EventTooLargeError.
        """
        self._rows.append(
            OutboxRow.of(event, topic=topic, key=key, event_id=self.new_id(), sequence=sequence, origin=self._origin)
        )

    async def record_audit(
        self,
        *,
        project: str,
        action: AuditAction | RefusedAction,
        subject: str,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        reason: str | None = None,
        digest: str | None = None,
    ) -> None:
        """Have an audit entry written, with its place in the outbox.

        `subject` is the path of what changed under its project, such as `registered-models/risk/versions/3`.
        Values must be such as JSON has.
        """
        entry = AuditEntry(
            id=UUID(self.new_id()),
            project=project,
            actor=self.context.actor,
            action=str(action),
            subject=subject,
            recorded_at=self.now,
            before=None if before is None else dict(before),
            after=None if after is None else dict(after),
            reason=reason,
            digest=digest,
            request_id=self.context.request_id,
        )
        self._entries.append((entry, self._origin))

    async def write_audit_and_outbox(self) -> None:
        """Write the facts and the audit entries so far: the unit of work does so before it commits.

        Last, because the chains that the entries continue are locked from then on: whoever writes about the
        same subject waits for the commit only.
        """
        if not self._rows and not self._entries:
            return
        chained = await chain_entries(self.connection, [entry for entry, _ in self._entries]) if self._entries else []
        told = [
            OutboxRow.of(
                each.event,
                topic=AUDIT_LOG,
                key=each.entry.project,
                event_id=self.new_id(),
                sequence=None,
                audit_entry_id=each.entry.id,
                origin=origin,
            )
            for each, (_, origin) in zip(chained, self._entries, strict=True)
        ]
        await write_audit_and_outbox(self.connection, entries=chained, rows=[*self._rows, *told])
        self._rows.clear()
        self._entries.clear()


class UnitOfWork:
    """Opens transactions: `async with unit_of_work(context) as tx:` commits, or undoes everything."""

    def __init__(
        self,
        pool: Pool,
        *,
        clock: Clock,
        new_id: NewId,
        wake: Callable[[], None],
        wake_soon: Callable[[], None] | None = None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._new_id = new_id
        self._wake = wake
        self._wake_soon = wake_soon or wake

    def batched(self) -> "UnitOfWork":
        """The same for changes that routing does not depend on: the relay publishes their outbox rows in batches.

        It waits for at most `SOON_S` so that a batch has more rows.
        """
        return UnitOfWork(self._pool, clock=self._clock, new_id=self._new_id, wake=self._wake_soon)

    @asynccontextmanager
    async def __call__(self, context: RequestContext) -> AsyncIterator[Transaction]:
        """A transaction at READ COMMITTED; after the commit the relay is woken in this process.

        Raises DatabaseUnavailableError when the database is away or too busy.
        """
        with database_errors():
            async with self._pool.acquire() as connection, connection.transaction(isolation="read_committed"):
                tx = Transaction(connection, context=context, now=self._clock(), new_id=self._new_id)
                yield tx
                await tx.write_audit_and_outbox()
        self._wake()
