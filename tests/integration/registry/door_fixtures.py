"""The registry's HTTP side for tests: served once, on a database of its own; each test has a project of its own."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from modelyard_stack import Stack

from tests.integration.registry.door import Door, add_project, open_door


@pytest.fixture(scope="session")
async def registry_database(stack: Stack) -> AsyncIterator[str]:
    """The DSN of a database for all tests that keep to a project of their own."""
    name = f"registry_{uuid.uuid4().hex}"
    administrator = await asyncpg.connect(stack.addresses.postgres_dsn)
    try:
        await administrator.execute(f"CREATE DATABASE {name}")
        yield urlunsplit(urlsplit(stack.addresses.postgres_dsn)._replace(path=f"/{name}"))
        await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await administrator.close()


@pytest.fixture(scope="session")
async def served_door(registry_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """The door that all tests share."""
    async with open_door(registry_database, tmp_path_factory.mktemp("artifacts")) as door:
        await add_project(door.database, "another")
        yield door


@pytest.fixture
async def door(served_door: Door) -> Door:
    """The door to a project that no other test has."""
    return await replace(served_door, project=f"p-{uuid.uuid4().hex[:12]}").found()
