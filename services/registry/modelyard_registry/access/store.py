"""API tokens and role grants in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from modelyard_runtime.access.permissions import Permission, Role

from modelyard_registry.access.domain import ApiToken, Grant
from modelyard_registry.transactions.database import Connection

_COLUMNS = """id::text, token_hash, ending, actor, project, roles, scopes, description, created_at, created_by,
    expires_at, revoked_at, revoked_by, last_used_at, sequence, stands_for, issuers"""

INSERT_TOKEN = """
INSERT INTO api_tokens (
    id, token_hash, ending, actor, project, roles, scopes, description, created_at, created_by, expires_at, document,
    stands_for, issuers
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"""

REVOKE_TOKEN = """
UPDATE api_tokens SET revoked_at = $2, revoked_by = $3, sequence = $4, document = $5 WHERE id = $1"""

FIND_BY_HASH = f"SELECT {_COLUMNS} FROM api_tokens WHERE token_hash = $1"

LOCK_TOKEN = f"SELECT {_COLUMNS} FROM api_tokens WHERE id = $1 FOR UPDATE"

GET_TOKEN = f"SELECT {_COLUMNS} FROM api_tokens WHERE id = $1"

LIST_TOKENS = f"""
SELECT {_COLUMNS} FROM api_tokens
WHERE project = ANY ($1::text[]) AND id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
ORDER BY id DESC LIMIT $3"""

LIST_ALL_TOKENS = f"""
SELECT {_COLUMNS} FROM api_tokens
WHERE id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') ORDER BY id DESC LIMIT $2"""

TOUCH_TOKEN = """
UPDATE api_tokens SET last_used_at = $2
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)"""

HAS_ADMIN = """
SELECT EXISTS (
    SELECT 1 FROM api_tokens
    WHERE project = '*' AND 'admin' = ANY (roles) AND scopes IS NULL AND revoked_at IS NULL AND expires_at > $1)"""

LOCK_GRANT = """
INSERT INTO access_grants (project, actor, roles, updated_at, updated_by, sequence, document)
VALUES ($1, $2, '{}', $3, $4, 0, '{}') ON CONFLICT (project, actor) DO UPDATE SET actor = excluded.actor
RETURNING roles, sequence"""

SAVE_GRANT = """
UPDATE access_grants SET roles = $3, updated_at = $4, updated_by = $5, sequence = $6, document = $7
WHERE project = $1 AND actor = $2"""

_GRANT = "SELECT project, actor, roles, updated_at, updated_by, sequence FROM access_grants"

LIST_GRANTS = f"{_GRANT} WHERE project = $1 AND actor > $2 AND roles <> '{{}}' ORDER BY actor LIMIT $3"

GRANTS_OF = f"{_GRANT} WHERE actor = $1 AND roles <> '{{}}'"

USED_EVERY = timedelta(hours=1)


async def insert_token(connection: Connection, token: ApiToken) -> None:
    """Keep a new token's hash and what it carries."""
    await connection.execute(
        INSERT_TOKEN,
        UUID(token.id),
        token.token_hash,
        token.ending,
        token.actor,
        token.project,
        list(token.roles),
        None if token.scopes is None else list(token.scopes),
        token.description,
        token.created_at,
        token.created_by,
        token.expires_at,
        token.document().model_dump(mode="json"),
        token.stands_for,
        list(token.issuers),
    )


async def save_revocation(connection: Connection, token: ApiToken) -> None:
    """Keep that a token was revoked; the caller holds its lock."""
    await connection.execute(
        REVOKE_TOKEN,
        UUID(token.id),
        token.revoked_at,
        token.revoked_by,
        token.sequence,
        token.document().model_dump(mode="json"),
    )


async def find_token_by_hash(connection: Connection, token_hash: bytes) -> ApiToken | None:
    """The token with that hash, whatever has become of it."""
    return _found(await connection.fetchrow(FIND_BY_HASH, token_hash))


async def find_token(connection: Connection, token_id: UUID, *, lock: bool = False) -> ApiToken | None:
    """The token of that id, locked for the rest of the transaction when that is wanted."""
    return _found(await connection.fetchrow(LOCK_TOKEN if lock else GET_TOKEN, token_id))


async def list_tokens(
    connection: Connection, *, projects: Collection[str] | None, before: UUID | None, limit: int
) -> list[ApiToken]:
    """The tokens of these projects (`*`: those for all projects), newest first; None asks for all that there are."""
    if projects is None:
        return [_token(row) for row in await connection.fetch(LIST_ALL_TOKENS, before, limit)]
    return [_token(row) for row in await connection.fetch(LIST_TOKENS, list(projects), before, limit)]


async def note_use(connection: Connection, token_id: str, *, now: datetime) -> None:
    """Remember that a token was used, once in an hour at most."""
    await connection.execute(TOUCH_TOKEN, UUID(token_id), now, now - USED_EVERY)


async def has_admin(connection: Connection, *, now: datetime) -> bool:
    """Whether any live token is admin of everything."""
    return bool(await connection.fetchval(HAS_ADMIN, now))


async def lock_grant(
    connection: Connection, *, project: str, actor: str, now: datetime, by: str
) -> tuple[tuple[Role, ...], int]:
    """The roles that an actor has so far and the sequence of the last change, 0 before the first; locked."""
    row = await connection.fetchrow(LOCK_GRANT, project, actor, now, by)
    if row is None:
        raise LookupError("an upsert that returns its row returned none")
    return _roles(row["roles"]), row["sequence"]


async def save_grant(connection: Connection, grant: Grant) -> None:
    """Keep what an actor is granted; the caller holds the grant's lock."""
    await connection.execute(
        SAVE_GRANT,
        grant.project,
        grant.actor,
        list(grant.roles),
        grant.updated_at,
        grant.updated_by,
        grant.sequence,
        grant.document().model_dump(mode="json"),
    )


async def list_grants(connection: Connection, *, project: str, after: str, limit: int) -> list[Grant]:
    """Who has which roles in a project, by actor."""
    return [_grant(row) for row in await connection.fetch(LIST_GRANTS, project, after, limit)]


async def list_grants_of(connection: Connection, actor: str) -> list[Grant]:
    """What an actor was granted anywhere."""
    return [_grant(row) for row in await connection.fetch(GRANTS_OF, actor)]


def _found(row: asyncpg.Record | None) -> ApiToken | None:
    return None if row is None else _token(row)


def _token(row: asyncpg.Record) -> ApiToken:
    values: dict[str, Any] = dict(row)
    scopes = values.pop("scopes")
    return ApiToken(
        **{
            **values,
            "token_hash": bytes(values["token_hash"]),
            "roles": _roles(values["roles"]),
            "issuers": tuple(values["issuers"]),
        },
        scopes=None if scopes is None else tuple(Permission(each) for each in scopes if each in set(Permission)),
    )


def _grant(row: asyncpg.Record) -> Grant:
    return Grant(**{**dict(row), "roles": _roles(row["roles"])})


def _roles(names: Sequence[str]) -> tuple[Role, ...]:
    """The roles of these names; one that this build does not know grants nothing."""
    return tuple(Role(name) for name in names if name in set(Role))
