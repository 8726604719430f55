"""The schema is made once, however many registries start at the same moment."""

import asyncio

import asyncpg
import pytest
from modelyard_registry.transactions.database import migrate

from tests.stack_fixtures import OwnStack

pytestmark = pytest.mark.integration


async def test_registries_that_start_at_once_make_one_schema(postgres_database: str) -> None:
    await asyncio.gather(*(migrate(postgres_database) for _ in range(4)))
    await migrate(postgres_database)

    connection = await asyncpg.connect(postgres_database)
    try:
        applied = await connection.fetch("SELECT migration_id FROM _yoyo_migration")
        positions = await connection.fetchval("SELECT count(*) FROM relay_position")
    finally:
        await connection.close()
    assert len({row["migration_id"] for row in applied}) == len(applied) >= 1
    assert positions == 1


async def test_a_registry_that_starts_before_its_database_waits_for_it(own_stack: OwnStack) -> None:
    stack = await own_stack()
    await stack.postgres.kill()

    async with asyncio.TaskGroup() as group:
        migrating = group.create_task(migrate(stack.addresses.postgres_dsn))
        await asyncio.sleep(0.5)
        waited = not migrating.done()
        await stack.postgres.start()

    assert waited
