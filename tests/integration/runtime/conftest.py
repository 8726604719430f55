"""A corner of the real Kafka for each test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from modelyard_events.topics import Kind
from modelyard_stack import Stack

from tests.integration.runtime.corner import Corner, OpenCorner, open_corner


@pytest.fixture
async def a_corner(stack: Stack, topic_prefix: str) -> AsyncIterator[OpenCorner]:
    """Opens a topic of its own, with the partitions and of the kind that the test needs."""
    async with AsyncExitStack() as opened:

        async def open_it(*, partitions: int = 1, kind: Kind = Kind.INGEST) -> Corner:
            return await opened.enter_async_context(
                open_corner(
                    bootstrap=stack.addresses.kafka_bootstrap,
                    prefix=topic_prefix,
                    partitions=partitions,
                    kind=kind,
                )
            )

        yield open_it


@pytest.fixture
async def corner(a_corner: OpenCorner) -> Corner:
    """One ingest topic with one partition."""
    return await a_corner()
