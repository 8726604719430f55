"""Each test has a corner of the session's servers for itself."""

import asyncpg
import pytest
from modelyard_stack import Stack
from redis.asyncio import Redis

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("_run", ["first", "second"])
async def test_a_database_is_empty_at_first(postgres_database: str, _run: str) -> None:
    connection = await asyncpg.connect(postgres_database)
    try:
        tables = await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'")
        await connection.execute("create table loans (id int primary key)")
    finally:
        await connection.close()

    assert tables == 0


@pytest.mark.parametrize("_run", ["first", "second"])
async def test_a_cache_is_empty_at_first(redis_url: str, _run: str) -> None:
    async with Redis.from_url(redis_url) as client:
        size = await client.dbsize()
        await client.set("prediction", "0.5")

    assert size == 0


async def test_the_postgres_is_the_recorded_version_with_uuidv7(stack: Stack) -> None:
    connection = await asyncpg.connect(stack.addresses.postgres_dsn)
    try:
        version = await connection.fetchval("show server_version")
        connections_max = await connection.fetchval("show max_connections")
        fsync = await connection.fetchval("show fsync")
        commit = await connection.fetchval("show synchronous_commit")
        identifier = await connection.fetchval("select uuidv7()")
    finally:
        await connection.close()

    assert version == "18.4"
    assert connections_max == "200"
    assert (fsync, commit) == ("on", "on")
    assert identifier.version == 7
