"""The ids of facts that were applied, in PostgreSQL: for facts that their source does not number."""

from collections.abc import Sequence
from datetime import datetime

from modelyard_registry.transactions.database import Connection

ADD_TO_INBOX = """
INSERT INTO inbox (consumer_group, dedupe_key, applied_at)
SELECT $1, key, $3 FROM unnest($2::text[]) AS key ON CONFLICT DO NOTHING RETURNING dedupe_key"""


async def add_to_inbox(connection: Connection, keys: Sequence[str], *, group: str, now: datetime) -> set[str]:
    """Remember dedupe keys; returns those that were not known."""
    rows = await connection.fetch(ADD_TO_INBOX, group, sorted(set(keys)), now)
    return {row["dedupe_key"] for row in rows}
