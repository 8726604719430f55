"""Searching the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from modelyard_registry.transactions.audit_entries import AuditEntry
from modelyard_registry.transactions.database import Connection

# An index is shown only when the entry is published: before that it could still be given out anew.
_COLUMNS = """
    id, project, actor, action, subject, recorded_at, before, after, reason, digest, request_id, previous_hash, hash,
    CASE WHEN published_at IS NOT NULL THEN log_index END AS log_index
"""
_FILTERS = """
  ($3::text IS NULL OR subject = $3 OR starts_with(subject, $3 || '/'))
  AND ($4::text IS NULL OR actor = $4) AND ($5::text IS NULL OR action = $5)
  AND ($6::timestamptz IS NULL OR recorded_at >= $6) AND ($7::timestamptz IS NULL OR recorded_at < $7)
"""
SEARCH_ENTRIES = f"""
SELECT {_COLUMNS} FROM audit_entries WHERE project = $1 AND ($2::uuid IS NULL OR id < $2) AND {_FILTERS}
ORDER BY id DESC LIMIT $8
"""
EXPORT_ENTRIES = f"""
SELECT {_COLUMNS} FROM audit_entries WHERE project = $1 AND ($2::uuid IS NULL OR id > $2) AND {_FILTERS}
ORDER BY id LIMIT $8
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which entries are wanted: None wants all. A subject includes what lies below it.

    Times are of the recording: from `recorded_from`, included, until `recorded_until`, excluded. `position`
    is where the page before ended.
    """

    project: str
    subject: str | None
    actor: str | None
    action: str | None
    recorded_from: datetime | None
    recorded_until: datetime | None
    position: UUID | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEntry:
    """An entry, its hash (None when it is older than the chains), and its index in the log, None until it is
    published."""

    entry: AuditEntry
    hash: str | None
    log_index: int | None


async def search_entries(connection: Connection, query: AuditQuery) -> Sequence[FoundEntry]:
    """The entries that match, newest first."""
    return await _fetch(connection, SEARCH_ENTRIES, query)


async def list_entries(connection: Connection, query: AuditQuery) -> Sequence[FoundEntry]:
    """The entries that match, oldest first."""
    return await _fetch(connection, EXPORT_ENTRIES, query)


async def _fetch(connection: Connection, statement: str, query: AuditQuery) -> Sequence[FoundEntry]:
    rows = await connection.fetch(
        statement,
        query.project,
        query.position,
        query.subject,
        query.actor,
        query.action,
        query.recorded_from,
        query.recorded_until,
        query.limit,
    )
    return [_found(row) for row in rows]


def _found(row: asyncpg.Record) -> FoundEntry:
    values = dict(row)
    log_index, own_hash = values.pop("log_index"), values.pop("hash")
    return FoundEntry(entry=AuditEntry(**values), hash=own_hash, log_index=log_index)
