"""One whole system for all end-to-end tests; each test has a project, and so a tenant, of its own."""

import uuid
from collections.abc import AsyncIterator

import pytest
from modelyard_stack import Stack

from tests.world.lending import Lending
from tests.world.world import World, open_world


@pytest.fixture(scope="session")
async def world(stack: Stack) -> AsyncIterator[World]:
    """The four services as processes on the session's servers."""
    async with open_world(stack) as opened:
        yield opened


@pytest.fixture
async def project(world: World) -> str:
    """A project that no other test has."""
    registry = world.registry(project=f"lender-{uuid.uuid4().hex[:8]}")
    await registry.found()
    return registry.project


@pytest.fixture
async def lending(world: World, project: str) -> Lending:
    """A project with a global and an industry model in production."""
    lending = Lending.in_project(world, project)
    await lending.found()
    return lending
