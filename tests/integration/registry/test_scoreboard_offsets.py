"""Offset and effect are one transaction: what was applied is refused, and what was undone left no offset."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from modelyard_registry.inbox.offsets import advance_offset, stored_offsets
from modelyard_registry.transactions.database import Database, migrate
from modelyard_runtime.consume import Batch
from modelyard_runtime.errors import StaleOffsetError

pytestmark = pytest.mark.integration

GROUP = "followers"
TOPIC = "facts.v1"


@pytest.fixture
async def database(postgres_database: str) -> AsyncIterator[Database]:
    await migrate(postgres_database)
    async with Database(postgres_database) as opened:
        yield opened


async def test_a_batch_that_was_applied_is_stale_and_the_next_one_is_not(database: Database) -> None:
    await _apply(database, first=0, following=10)

    with pytest.raises(StaleOffsetError):
        await _apply(database, first=0, following=10)
    with pytest.raises(StaleOffsetError):
        await _apply(database, first=9, following=12)
    await _apply(database, first=10, following=12)
    await _apply(database, first=20, following=21)  # A gap that the broker's clean-up left.

    assert await stored_offsets(database, group=GROUP)([(TOPIC, 0), (TOPIC, 1)]) == {(TOPIC, 0): 21}


async def test_an_effect_that_fails_leaves_the_offset_where_it_was(database: Database) -> None:
    await _apply(database, first=0, following=5)

    with pytest.raises(ZeroDivisionError):
        await _apply(database, first=5, following=9, effect=lambda: 1 // 0)

    assert await stored_offsets(database, group=GROUP)([(TOPIC, 0)]) == {(TOPIC, 0): 5}


async def test_of_two_consumers_with_the_same_batch_one_applies_it(database: Database) -> None:
    outcomes = await asyncio.gather(*(_apply(database, first=0, following=3) for _ in range(5)), return_exceptions=True)

    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, StaleOffsetError) for outcome in outcomes) == 4


async def _apply(database: Database, *, first: int, following: int, effect: object = None) -> None:
    batch = Batch(deliveries=(), topic=TOPIC, partition=0, first_offset=first, next_offset=following)
    async with database.acquire() as connection, connection.transaction():
        await advance_offset(connection, batch, group=GROUP)
        if callable(effect):
            effect()
