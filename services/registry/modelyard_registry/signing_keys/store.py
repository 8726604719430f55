"""Signing keys in PostgreSQL."""

from collections.abc import Collection
from uuid import UUID

import asyncpg

from modelyard_registry.signing_keys.domain import SigningKey
from modelyard_registry.transactions.database import Connection

_COLUMNS = """id::text, public_key, actor, project, topics, tenants, description, created_at, created_by,
    expires_at, revoked_at, revoked_by, sequence"""

INSERT_KEY = """
INSERT INTO signing_keys (
    id, public_key, actor, project, topics, tenants, description, created_at, created_by, expires_at, document
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (public_key) DO NOTHING RETURNING id"""

REVOKE_KEY = """
UPDATE signing_keys SET revoked_at = $2, revoked_by = $3, sequence = $4, document = $5 WHERE id = $1"""

LOCK_KEY = f"SELECT {_COLUMNS} FROM signing_keys WHERE id = $1 FOR UPDATE"

GET_KEY = f"SELECT {_COLUMNS} FROM signing_keys WHERE id = $1"

LIST_KEYS = f"""
SELECT {_COLUMNS} FROM signing_keys
WHERE ($1::text[] IS NULL OR project = ANY ($1)) AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"""


async def insert_key(connection: Connection, key: SigningKey) -> bool:
    """Keep a new key; False when its public half is registered already, by whomever."""
    inserted = await connection.fetchval(
        INSERT_KEY,
        UUID(key.id),
        key.public_key,
        key.actor,
        key.project,
        list(key.topics),
        None if key.tenants is None else list(key.tenants),
        key.description,
        key.created_at,
        key.created_by,
        key.expires_at,
        key.document().model_dump(mode="json"),
    )
    return inserted is not None


async def save_revocation(connection: Connection, key: SigningKey) -> None:
    """Keep that a key was revoked; the caller holds its lock."""
    await connection.execute(
        REVOKE_KEY,
        UUID(key.id),
        key.revoked_at,
        key.revoked_by,
        key.sequence,
        key.document().model_dump(mode="json"),
    )


async def find_key(connection: Connection, key_id: UUID, *, lock: bool = False) -> SigningKey | None:
    """The key of that id, locked for the rest of the transaction when that is wanted."""
    row = await connection.fetchrow(LOCK_KEY if lock else GET_KEY, key_id)
    return None if row is None else _key(row)


async def list_keys(
    connection: Connection, *, projects: Collection[str] | None, before: UUID | None, limit: int
) -> list[SigningKey]:
    """The keys of these projects (`*`: those for all projects), newest first; None asks for all that there are."""
    chosen = None if projects is None else list(projects)
    return [_key(row) for row in await connection.fetch(LIST_KEYS, chosen, before, limit)]


def _key(row: asyncpg.Record) -> SigningKey:
    values = dict(row)
    tenants = values["tenants"]
    changed = {
        "public_key": bytes(values["public_key"]),
        "topics": tuple(values["topics"]),
        "tenants": None if tenants is None else tuple(tenants),
    }
    return SigningKey(**{**values, **changed})
