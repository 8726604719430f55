"""A registry at work, shared by the session; each test has a project of its own in it."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from modelyard_stack import Stack

from tests.integration.registry.door_fixtures import door, registry_database, served_door
from tests.integration.registry.registry_world import RegistryWorld, open_registry_world
from tests.world.registry import Registry

__all__ = ["door", "registry_database", "registry_world", "served_door"]


@pytest.fixture(scope="session")
async def shared_registry(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RegistryWorld]:
    """A registry with relay and consumers; starting one for each test would take longer than the tests."""
    name = f"registry_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(stack.addresses.postgres_dsn)
    try:
        await connection.execute(f"create database {name}")
        async with open_registry_world(
            dsn=urlunsplit(urlsplit(stack.addresses.postgres_dsn)._replace(path=f"/{name}")),
            bootstrap=stack.addresses.kafka_bootstrap,
            prefix=f"{name}.",
            directory=tmp_path_factory.mktemp("artifacts"),
        ) as opened:
            yield opened
        await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()


@pytest.fixture
async def registry_world(shared_registry: RegistryWorld) -> RegistryWorld:
    """The shared registry, with a project that no other test has."""
    project = Registry(http=shared_registry.http, project=f"bank-{uuid.uuid4().hex[:8]}")
    await project.found()
    return replace(shared_registry, registry=project)
