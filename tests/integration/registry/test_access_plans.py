"""Questions about access are answered by index, however many tokens and grants there are."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from modelyard_registry.access import store
from modelyard_registry.approvals.roles import ROLES_GRANTED, ROLES_OF_TOKENS
from modelyard_registry.models.visibility import IS_ARTIFACT_OF_VERSION_IN

from tests.integration.registry.door import Door
from tests.integration.registry.test_lists import explained

pytestmark = pytest.mark.integration

MANY = 5_000


async def many_tokens_and_grants(connection: Any) -> None:
    """Five thousand of each, by as many actors of a hundred projects."""
    await connection.execute(
        """
        INSERT INTO api_tokens (id, token_hash, ending, actor, project, roles, created_at, created_by, expires_at,
            document, stands_for)
        SELECT gen_random_uuid(), sha256(n::text::bytea), 'last', 'actor-' || n, 'p-' || n % 100, '{viewer}', now(),
            'ann', now() + interval '1 day', '{}', 'p-' || n % 100 || '/actor-' || n
        FROM generate_series(1, $1::int) AS n
        """,
        MANY,
    )
    await connection.execute(
        "INSERT INTO access_grants (project, actor, roles, updated_at, updated_by, sequence, document)"
        " SELECT 'p-' || n % 100, 'actor-' || n, '{viewer}', now(), 'ann', 1, '{}' FROM generate_series(1, $1::int) n",
        MANY,
    )
    await connection.execute("ANALYZE api_tokens")
    await connection.execute("ANALYZE access_grants")


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        (store.LIST_TOKENS, [["p-7"], None, 51]),
        (store.LIST_TOKENS, [["p-7"], uuid.uuid4(), 51]),
        (store.LIST_GRANTS, ["p-7", "actor-2", 51]),
        (store.GRANTS_OF, ["actor-7"]),
        (store.FIND_BY_HASH, [bytes(32)]),
        (store.HAS_ADMIN, [datetime(2026, 11, 25, tzinfo=UTC)]),
        (ROLES_GRANTED, ["actor-7", "p-7"]),
        (ROLES_OF_TOKENS, ["actor-7", "p-7", datetime(2026, 11, 25, tzinfo=UTC), "p-7"]),
    ],
    ids=[
        "tokens",
        "more tokens",
        "grants",
        "an actor's grants",
        "a token",
        "an admin",
        "an actor's granted roles",
        "an actor's tokens",
    ],
)
async def test_access_is_asked_by_index(door: Door, statement: str, arguments: list[Any]) -> None:
    async with door.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await many_tokens_and_grants(connection)
            plan = await explained(connection, statement, arguments)
        finally:
            await transaction.rollback()

    assert "Seq Scan" not in plan


async def test_what_an_actors_tokens_permit_is_asked_by_actor(door: Door) -> None:
    moment = datetime(2026, 11, 25, tzinfo=UTC)
    async with door.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await many_tokens_and_grants(connection)
            rows = await connection.fetch(f"EXPLAIN {ROLES_OF_TOKENS}", "actor-7", "p-7", moment, "p-7")
        finally:
            await transaction.rollback()

    assert any("api_tokens_by_actor" in row[0] for row in rows)


async def test_whether_bytes_are_in_production_is_asked_by_digest(door: Door) -> None:
    async with door.database.acquire() as connection, connection.transaction():
        # The tables are almost empty here, where reading all of one is what a planner does.
        await connection.execute("SET LOCAL enable_seqscan = off")
        rows = await connection.fetch(f"EXPLAIN {IS_ARTIFACT_OF_VERSION_IN}", door.project, "sha256:0", "production")

    plan = "\n".join(row[0] for row in rows)
    assert "model_versions_in_production_by_digest" in plan
    assert "version_artifacts_by_digest" in plan
