"""Real Kafka, PostgreSQL and Valkey for tests, and a corner of them for each test alone."""

import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from modelyard_stack import Stack
from redis.asyncio import Redis

_redis_databases = count(1)
REDIS_DATABASES = 64


class OwnStack(Protocol):
    """Start a stack that the test may kill and pause; it is stopped when the test ends."""

    def __call__(self, *, directory: Path | None = None) -> Awaitable[Stack]: ...


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    """The session's servers. Do not stop them: other tests use them; `own_stack` is for that."""
    async with Stack.start() as running:
        yield running


@pytest.fixture
async def own_stack() -> AsyncIterator[OwnStack]:
    """Starts servers for one test, as many times as it is called."""
    async with AsyncExitStack() as opened:

        async def start(*, directory: Path | None = None) -> Stack:
            return await opened.enter_async_context(Stack.start(directory=directory))

        yield start


@pytest.fixture
async def postgres_database(stack: Stack) -> AsyncIterator[str]:
    """The DSN of an empty database, dropped after the test with whoever is still connected to it."""
    name = f"test_{uuid.uuid4().hex}"
    await _execute(stack.addresses.postgres_dsn, f"create database {name}")
    yield urlunsplit(urlsplit(stack.addresses.postgres_dsn)._replace(path=f"/{name}"))
    await _execute(stack.addresses.postgres_dsn, f"drop database {name} with (force)")


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics and consumer groups that no other test has, ending in a dot."""
    return f"test-{uuid.uuid4().hex[:12]}."


@pytest.fixture
async def redis_url(stack: Stack) -> str:
    """The URL of an empty logical database; 63 tests may use theirs before one is emptied and used again."""
    number = 1 + (next(_redis_databases) - 1) % (REDIS_DATABASES - 1)
    url = urlunsplit(urlsplit(stack.addresses.redis_url)._replace(path=f"/{number}"))
    async with Redis.from_url(url) as client:
        await client.flushdb()
    return url


@pytest.fixture(autouse=True)
def refuse_servers_in_unit_tests(request: pytest.FixtureRequest) -> None:
    """A unit test that asks for servers is in the wrong directory."""
    unit = Path(__file__).with_name("unit")
    if unit in request.path.parents and {"stack", "own_stack"} & set(request.fixturenames):
        pytest.fail(f"{request.node.nodeid} uses servers: move it to tests/integration.", pytrace=False)


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
