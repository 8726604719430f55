"""Rows that are written in bulk: each value lands in the column of its name, wherever it stands in the code."""

import uuid
from dataclasses import fields
from typing import Any

import asyncpg
import pytest
from modelyard_registry.scoreboard.domain import PairKey, PairTally
from modelyard_registry.scoreboard.store import add_to_ledger, list_ledger
from modelyard_registry.transactions.statements import Columns, RowInsert

from tests.integration.registry.door import Door

pytestmark = pytest.mark.integration

TABLE = "CREATE TEMP TABLE given_rows (name text, size bigint, semver integer[], tags jsonb) ON COMMIT DROP"
READERS: dict[str, Any] = {
    "name": ("text", lambda row: row["name"]),
    "size": ("bigint", lambda row: row["size"]),
    "semver": ("integer[]", lambda row: row["semver"]),
    "tags": ("jsonb", lambda row: row["tags"]),
}
ROWS = [
    {"name": "a", "size": 1, "semver": "{1,2,3}", "tags": '{"a": 1}'},
    {"name": "b", "size": 2, "semver": "{4,5,6}", "tags": None},
]


@pytest.mark.parametrize("names", [list(READERS), list(reversed(READERS)), ["tags", "name", "semver", "size"]])
async def test_columns_in_any_order_write_the_same_rows(door: Door, names: list[str]) -> None:
    insert = RowInsert("given_rows", Columns[Any](**{name: READERS[name] for name in names}))

    async with door.database.acquire() as connection, connection.transaction():
        await connection.execute(TABLE)
        await insert.write(connection, ROWS)
        found = await connection.fetch("SELECT name, size, semver, tags FROM given_rows ORDER BY name")

    assert [tuple(row) for row in found] == [("a", 1, [1, 2, 3], {"a": 1}), ("b", 2, [4, 5, 6], None)]


async def test_a_column_that_the_table_does_not_have_is_refused(door: Door) -> None:
    insert = RowInsert("given_rows", Columns[Any](**READERS, other=("bigint", lambda row: row["size"])))

    async with door.database.acquire() as connection, connection.transaction():
        await connection.execute(TABLE)
        with pytest.raises(asyncpg.UndefinedColumnError, match="other"):
            await insert.write(connection, ROWS)


async def test_every_number_of_the_shadow_ledger_is_added_to_itself(door: Door) -> None:
    names = [field.name for field in fields(PairTally) if field.type in (int, float)]
    tally = PairTally(served="risk/1", shadow="risk/2", **{name: at for at, name in enumerate(names, start=1)})
    key = PairKey(door.project, "loan-risk", str(uuid.UUID(int=1)), str(uuid.UUID(int=2)))

    async with door.database.acquire() as connection:
        for _ in range(2):
            await add_to_ledger(connection, {key: tally})
        pages = await list_ledger(connection, project=door.project, model_type=None, after=("", "", ""), limit=10)

    assert [pair.tally for pair in pages] == [
        PairTally(served="risk/1", shadow="risk/2", **{name: 2 * at for at, name in enumerate(names, start=1)})
    ]
