"""Projects in PostgreSQL. None is ever deleted, so one that was found once is there for good."""

from collections.abc import Collection, Sequence
from datetime import datetime

import asyncpg

from modelyard_registry.api import DEFAULT_PROJECT
from modelyard_registry.projects.domain import COMPARED_NAMES_MAX, ProjectRecord
from modelyard_registry.transactions.database import Connection

INSERT = """
INSERT INTO projects (name, description, created_at, created_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO NOTHING RETURNING name"""

IS_THERE = "SELECT EXISTS (SELECT 1 FROM projects WHERE name = $1)"

WHICH_ARE_THERE = "SELECT name FROM projects WHERE name = ANY($1)"

NEIGHBOURS = """
(SELECT name FROM projects WHERE name >= $1 ORDER BY name LIMIT $2)
UNION ALL
(SELECT name FROM projects WHERE name < $1 ORDER BY name DESC LIMIT $2)"""

_COUNTED = """
SELECT p.name, p.description, p.created_at, p.created_by,
       (SELECT count(*) FROM registered_models m WHERE m.project = p.name AND m.deleted_at IS NULL)
           AS registered_models,
       (SELECT count(*) FROM model_versions v JOIN registered_models m ON m.id = v.registered_model_id
        WHERE m.project = p.name AND m.deleted_at IS NULL) AS model_versions
FROM projects p"""

LIST = f"{_COUNTED} WHERE p.name > $1 AND ($2::text[] IS NULL OR p.name = ANY($2)) ORDER BY p.name LIMIT $3"

FIND = f"{_COUNTED} WHERE p.name = $1"


async def insert_project(
    connection: Connection, name: str, *, description: str | None, created_at: datetime, created_by: str
) -> bool:
    """Write a new project; false when its name is taken."""
    return await connection.fetchval(INSERT, name, description, created_at, created_by) is not None


async def is_there(connection: Connection, name: str) -> bool:
    """Whether there is a project of this name."""
    return bool(await connection.fetchval(IS_THERE, name))


async def those_there(connection: Connection, names: Collection[str]) -> frozenset[str]:
    """Those of `names` that are projects."""
    return frozenset(row["name"] for row in await connection.fetch(WHICH_ARE_THERE, list(names)))


async def names_beside(connection: Connection, name: str) -> Sequence[str]:
    """The projects whose names come before and after `name` in the alphabet, at most COMPARED_NAMES_MAX each way.

    Among many projects, those with the longest common beginning are found so by the index alone.
    """
    return [row["name"] for row in await connection.fetch(NEIGHBOURS, name, COMPARED_NAMES_MAX)]


async def project_on_record(connection: Connection, name: str) -> str:
    """Where the audit log keeps what was tried in `name`: there, or in `default` when there is no such project."""
    return name if await is_there(connection, name) else DEFAULT_PROJECT


async def list_projects(
    connection: Connection, *, after: str, among: Collection[str] | None, limit: int
) -> Sequence[ProjectRecord]:
    """Projects by name, those after the name `after`; of those that `among` names, or of all."""
    rows = await connection.fetch(LIST, after, None if among is None else list(among), limit)
    return [_record_of(row) for row in rows]


async def find_project(connection: Connection, name: str) -> ProjectRecord | None:
    """The project, or None."""
    row = await connection.fetchrow(FIND, name)
    return None if row is None else _record_of(row)


def _record_of(row: asyncpg.Record) -> ProjectRecord:
    return ProjectRecord(**dict(row))
