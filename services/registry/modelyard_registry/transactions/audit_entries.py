"""What an audit entry is, and how entries are written: each holds the one before it about the same subject."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from modelyard_events.audit_chain import hash_of_entry
from modelyard_events.registry import AuditEntryRecorded

from modelyard_registry.transactions.database import Connection

# Locks the end of every chain that is written to. In one order, so that two transactions cannot wait for
# each other; a chain that is new begins at place 0.
LOCK_CHAINS = """
INSERT INTO audit_chains (project, subject)
SELECT DISTINCT project, subject FROM unnest($1::text[], $2::text[]) AS given (project, subject)
ORDER BY project, subject
ON CONFLICT (project, subject) DO UPDATE SET place = audit_chains.place
RETURNING project, subject, place, hash
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change, or one refusal (its `action` ends in `.refused`): who, what, when, from, to, why.

    `subject` is the path of what changed under its project, such as
    `registered-models/risk/versions/3`. `before` and `after` hold what differs, not everything.
    `previous_hash` is the hash of the entry before it about the same subject, None for the first.
    """

    id: UUID
    project: str
    actor: str
    action: str
    subject: str
    recorded_at: datetime
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    digest: str | None
    request_id: str | None
    previous_hash: str | None = None

    def event(self) -> AuditEntryRecorded:
        """The fact that tells of this entry."""
        return AuditEntryRecorded(
            entry_id=str(self.id),
            project=self.project,
            actor=self.actor,
            action=self.action,
            subject=self.subject,
            recorded_at=self.recorded_at,
            before=self.before,
            after=self.after,
            reason=self.reason,
            digest=self.digest,
            request_id=self.request_id,
            previous_hash=self.previous_hash,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEntry:
    """An entry at its place in its subject's chain, counted from 1, with its own hash and the fact that tells of it."""

    entry: AuditEntry
    event: AuditEntryRecorded
    place: int
    hash: str


async def chain_entries(connection: Connection, entries: Sequence[AuditEntry]) -> list[ChainedEntry]:
    """Put entries at the ends of their subjects' chains; each then has its `previous_hash`.

    The ends stay locked until the transaction ends: chain last. The relay gives each entry its index when it
    publishes it.
    """
    rows = await connection.fetch(
        LOCK_CHAINS, [entry.project for entry in entries], [entry.subject for entry in entries]
    )
    ends = {(row["project"], row["subject"]): (row["place"], row["hash"]) for row in rows}
    chained = []
    for entry in entries:
        place, previous_hash = ends[entry.project, entry.subject]
        linked = entry if previous_hash is None else replace(entry, previous_hash=previous_hash)
        event = linked.event()
        own_hash = hash_of_entry(event)
        told = event.model_copy(update={"hash": own_hash})
        end = ChainedEntry(entry=linked, event=told, place=place + 1, hash=own_hash)
        ends[entry.project, entry.subject] = (end.place, end.hash)
        chained.append(end)
    return chained
