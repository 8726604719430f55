"""Writing to the outbox: one row per fact, in the transaction of the change that it is about."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from modelyard_events.event import Event
from modelyard_runtime.problems import InvalidRequestError

from modelyard_registry.database import Connection

# What a broker takes by default, less what key and headers need. Refused here, where somebody can still act:
# a row that no broker takes would hold up everything behind it.
PAYLOAD_BYTES_MAX = 1_000_000

APPEND_ROW = """
INSERT INTO outbox (
    topic, key, event_id, type, sequence, audit_entry_id, occurred_at,
    actor, correlation_id, causation_id, payload
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""


class EventTooLargeError(InvalidRequestError):
    """The change would make an event that is larger than the broker takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """An event that waits to be published. `topic` is the catalogue's name, without a prefix.

    `sequence` is gapless per topic and key; it is None for an audit entry, which gets its index from the
    relay and names its row by `audit_entry_id`.
    """

    topic: str
    key: str
    event_id: str
    event: Event
    sequence: int | None
    audit_entry_id: UUID | None = None
    occurred_at: datetime
    actor: str
    correlation_id: str | None
    causation_id: str | None


async def append_row(connection: Connection, row: OutboxRow) -> None:
    """Write one row.

    Raises EventTooLargeError, and asyncpg.UniqueViolationError when its sequence was given out before.
    """
    payload = row.event.model_dump_json()
    if len(payload.encode()) > PAYLOAD_BYTES_MAX:
        raise EventTooLargeError(
            f"The change makes an event {row.event.type} of {len(payload.encode())} bytes;"
            f" {PAYLOAD_BYTES_MAX} are the most.",
            fix="Shorten the longest texts: evidence belongs in the artifact or behind a link.",
        )
    await connection.execute(
        APPEND_ROW,
        row.topic,
        row.key,
        row.event_id,
        row.event.type,
        row.sequence,
        row.audit_entry_id,
        row.occurred_at,
        row.actor,
        row.correlation_id,
        row.causation_id,
        payload,
    )
