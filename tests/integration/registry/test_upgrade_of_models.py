"""A registry that has versions already is upgraded: what was said of them is there to change, sort and list."""

import uuid
from collections.abc import AsyncIterator
from typing import TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from modelyard_registry.transactions.database import MIGRATIONS
from modelyard_stack import Stack

pytestmark = pytest.mark.integration

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

BEFORE, UPGRADE = "0001_main_job.sql", "0002_models_metadata_and_changes.sql"
EVIDENCE = """{"metrics": {"auc": 0.9, "rmse": 4}, "description": "as trained", "tags": {"tier": "1"},
    "feature_schema": [{"name": "age", "datatype": "INT64"}]}"""


@pytest.fixture
async def empty_database(stack: Stack) -> AsyncIterator[Connection]:
    """A connection to a database that nobody else has."""
    name = f"upgrade_{uuid.uuid4().hex}"
    administrator = await asyncpg.connect(stack.addresses.postgres_dsn)
    await administrator.execute(f"CREATE DATABASE {name}")
    connection = await asyncpg.connect(urlunsplit(urlsplit(stack.addresses.postgres_dsn)._replace(path=f"/{name}")))
    yield connection
    await connection.close()
    await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await administrator.close()


async def test_versions_of_the_first_release_are_upgraded(
    empty_database: Connection,
) -> None:
    model_id, version_id = uuid.uuid4(), uuid.uuid4()
    await empty_database.execute((MIGRATIONS / BEFORE).read_text())
    await empty_database.execute(
        "INSERT INTO registered_models (id, project, name, model_type, scope, created_at, created_by, updated_at)"
        " VALUES ($1, 'bank', 'risk', 'risk_scoring', 'global', '2026-01-01Z', 'ann', '2026-01-01Z')",
        model_id,
    )
    await empty_database.execute(
        "INSERT INTO model_versions (id, registered_model_id, number, semver, stage, digest, artifact_bytes, format,"
        " evidence, created_at, created_by)"
        " VALUES ($1, $2, 1, '{1,0,0}', 'production', 'sha256:0', 1, 'onnx', $3, '2026-01-02Z', 'ann')",
        version_id,
        model_id,
        EVIDENCE,
    )

    async with empty_database.transaction():
        await empty_database.execute((MIGRATIONS / UPGRADE).read_text())

    version = await empty_database.fetchrow("SELECT * FROM model_versions")
    metrics = await empty_database.fetch("SELECT name, value, number, project FROM version_metrics ORDER BY name")
    assert version is not None
    assert (version["description"], version["tags"]) == ("as trained", '{"tier": "1"}')
    assert (version["build_status"], version["review_status"]) == ("ready", "pending_review")
    assert (version["project"], version["updated_at"]) == ("bank", version["created_at"])
    assert [tuple(row) for row in metrics] == [("auc", 0.9, 1, "bank"), ("rmse", 4.0, 1, "bank")]
