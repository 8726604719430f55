"""Writes the audit entries and the outbox rows of a transaction, in one statement just before the commit.

It is one statement for any number of rows: under load a statement costs more than the rows that it carries.
"""

import json
from collections.abc import Sequence
from typing import Any

from modelyard_registry.transactions.audit_entries import ChainedEntry
from modelyard_registry.transactions.database import Connection
from modelyard_registry.transactions.outbox_rows import OutboxRow
from modelyard_registry.transactions.statements import Columns, Statement

CHAIN_ENDS = Columns[ChainedEntry](
    project=("text", lambda end: end.entry.project),
    subject=("text", lambda end: end.entry.subject),
    place=("bigint", lambda end: end.place),
    hash=("text", lambda end: end.hash),
)
ENTRIES = Columns[ChainedEntry](
    id=("uuid", lambda chained: chained.entry.id),
    project=("text", lambda chained: chained.entry.project),
    actor=("text", lambda chained: chained.entry.actor),
    action=("text", lambda chained: chained.entry.action),
    subject=("text", lambda chained: chained.entry.subject),
    recorded_at=("timestamptz", lambda chained: chained.entry.recorded_at),
    before=("jsonb", lambda chained: _json(chained.entry.before)),
    after=("jsonb", lambda chained: _json(chained.entry.after)),
    reason=("text", lambda chained: chained.entry.reason),
    digest=("text", lambda chained: chained.entry.digest),
    request_id=("text", lambda chained: chained.entry.request_id),
    place=("bigint", lambda chained: chained.place),
    previous_hash=("text", lambda chained: chained.entry.previous_hash),
    hash=("text", lambda chained: chained.hash),
)
OUTBOX = Columns[OutboxRow](
    topic=("text", lambda row: row.topic),
    key=("text", lambda row: row.key),
    event_id=("text", lambda row: row.event_id),
    type=("text", lambda row: row.type),
    sequence=("bigint", lambda row: row.sequence),
    audit_entry_id=("uuid", lambda row: row.audit_entry_id),
    occurred_at=("timestamptz", lambda row: row.origin.occurred_at),
    actor=("text", lambda row: row.origin.actor),
    correlation_id=("text", lambda row: row.origin.correlation_id),
    causation_id=("text", lambda row: row.origin.causation_id),
    payload=("text", lambda row: row.payload),
)
# The rows get their ids in the order in which they are given: that is the order in which the relay reads them.
WRITE_AUDIT_AND_OUTBOX = Statement(
    f"""
WITH chains AS (
    UPDATE audit_chains SET place = ends.place, hash = ends.hash
    FROM {{ends}} WHERE audit_chains.project = ends.project AND audit_chains.subject = ends.subject
), entries AS (
    INSERT INTO audit_entries ({ENTRIES.names}) SELECT {ENTRIES.values} FROM {{entries}}
)
INSERT INTO outbox ({OUTBOX.names}) SELECT {OUTBOX.values} FROM {{outbox}} ORDER BY nth
""",
    ends=CHAIN_ENDS,
    entries=ENTRIES,
    outbox=OUTBOX,
)


async def write_audit_and_outbox(
    connection: Connection, *, entries: Sequence[ChainedEntry], rows: Sequence[OutboxRow]
) -> None:
    """Write audit entries, the ends of their chains, which the caller has locked, and outbox rows in their order.

    Raises asyncpg.UniqueViolationError when a row's sequence was given out before.
    """
    ends = {(each.entry.project, each.entry.subject): each for each in entries}
    await connection.execute(*WRITE_AUDIT_AND_OUTBOX.bind(ends=ends.values(), entries=entries, outbox=rows))


def _json(document: dict[str, Any] | None) -> str | None:
    return None if document is None else json.dumps(document, allow_nan=False)
