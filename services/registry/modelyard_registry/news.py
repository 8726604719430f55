"""What a transaction says about itself, audit entries and outbox rows, in one statement just before the commit.

One statement however much there is to say: under load a statement costs more than what it carries.
"""

import json
from collections.abc import Sequence
from typing import Any

from modelyard_registry.audit.entries import ChainedEntry
from modelyard_registry.database import Connection, columns_of
from modelyard_registry.outbox.append import OutboxRow

# The rows get their ids in the order in which they are given: that is the order in which the relay reads them.
WRITE_NEWS = """
WITH ends AS (
    UPDATE audit_chains SET place = e.place, hash = e.hash
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) AS e (project, subject, place, hash)
    WHERE audit_chains.project = e.project AND audit_chains.subject = e.subject
), entries AS (
    INSERT INTO audit_entries (
        id, project, actor, action, subject, recorded_at, before, after, reason, digest, request_id,
        place, previous_hash, hash
    )
    SELECT id, project, actor, action, subject, recorded_at, before::jsonb, after::jsonb, reason, digest, request_id,
        place, previous_hash, hash
    FROM unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::text[],
        $12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::text[], $18::text[]
    ) AS given (id, project, actor, action, subject, recorded_at, before, after, reason, digest, request_id,
        place, previous_hash, hash)
)
INSERT INTO outbox (
    topic, key, event_id, type, sequence, audit_entry_id, occurred_at, actor, correlation_id, causation_id, payload
)
SELECT topic, key, event_id, type, sequence, audit_entry_id, occurred_at, actor, correlation_id, causation_id, payload
FROM unnest($19::text[], $20::text[], $21::text[], $22::text[], $23::bigint[], $24::uuid[], $25::timestamptz[],
    $26::text[], $27::text[], $28::text[], $29::text[]
) WITH ORDINALITY AS given (topic, key, event_id, type, sequence, audit_entry_id, occurred_at, actor, correlation_id,
    causation_id, payload, at)
ORDER BY at
"""


async def write_news(connection: Connection, *, entries: Sequence[ChainedEntry], rows: Sequence[OutboxRow]) -> None:
    """Write audit entries, the ends of their chains, which the caller has locked, and outbox rows in their order.

    Raises asyncpg.UniqueViolationError when a row's sequence was given out before.
    """
    ends = {(each.entry.project, each.entry.subject): each for each in entries}
    await connection.execute(
        WRITE_NEWS,
        *columns_of([(*subject, end.place, end.hash) for subject, end in ends.items()], width=4),
        *columns_of([_entry_values(each) for each in entries], width=14),
        *columns_of([_row_values(row) for row in rows], width=11),
    )


def _entry_values(chained: ChainedEntry) -> tuple[Any, ...]:
    entry = chained.entry
    return (
        entry.id,
        entry.project,
        entry.actor,
        entry.action,
        entry.subject,
        entry.recorded_at,
        _json(entry.before),
        _json(entry.after),
        entry.reason,
        entry.digest,
        entry.request_id,
        chained.place,
        entry.previous_hash,
        chained.hash,
    )


def _row_values(row: OutboxRow) -> tuple[Any, ...]:
    origin = row.origin
    return (
        row.topic,
        row.key,
        row.event_id,
        row.type,
        row.sequence,
        row.audit_entry_id,
        origin.occurred_at,
        origin.actor,
        origin.correlation_id,
        origin.causation_id,
        row.payload,
    )


def _json(document: dict[str, Any] | None) -> str | None:
    return None if document is None else json.dumps(document, allow_nan=False)
