"""A world for each test of the router."""

from collections.abc import AsyncIterator

import pytest
from modelyard_stack import Stack

from tests.integration.router.world import World, open_world


@pytest.fixture
async def world(stack: Stack, topic_prefix: str, redis_url: str) -> AsyncIterator[World]:
    """Topics, a model server and a feature source of the test's own, on the session's servers."""
    async with open_world(
        bootstrap=stack.addresses.kafka_bootstrap, prefix=topic_prefix, redis_url=redis_url
    ) as opened:
        yield opened
