"""Deployments in PostgreSQL: one row per version and environment."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from modelyard_events.values import Endpoint

from modelyard_registry.deployments.domain import Deployment
from modelyard_registry.routes.domain import ROUTED_ENVIRONMENT
from modelyard_registry.transactions.database import Connection

_COLUMNS = "environment, endpoint, health, recorded_at, recorded_by"
FIND_DEPLOYMENT = f"SELECT {_COLUMNS} FROM deployments WHERE version_id = $1 AND environment = $2"
LIST_DEPLOYMENTS = f"SELECT {_COLUMNS} FROM deployments WHERE version_id = $1 ORDER BY environment"
SAVE_DEPLOYMENT = """
INSERT INTO deployments (version_id, environment, endpoint, health, recorded_at, recorded_by)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (version_id, environment) DO UPDATE SET
    endpoint = excluded.endpoint, health = excluded.health,
    recorded_at = excluded.recorded_at, recorded_by = excluded.recorded_by
"""
# What a rollback may restore: the endpoint as it was when the version was last let into production, or changed there.
AGREE_TO_ENDPOINT = f"""
UPDATE deployments SET agreed_endpoint = endpoint WHERE version_id = $1 AND environment = '{ROUTED_ENVIRONMENT}'
"""
NEXT_REVISION = "UPDATE model_versions SET revision = revision + 1, updated_at = $2 WHERE id = $1 RETURNING revision"


async def find_deployment(connection: Connection, *, version_id: UUID, environment: str) -> Deployment | None:
    """Where the version answers in that environment."""
    row = await connection.fetchrow(FIND_DEPLOYMENT, version_id, environment)
    return _deployment_of(row) if row else None


async def list_deployments(connection: Connection, *, version_id: UUID) -> Sequence[Deployment]:
    """Where the version answers, by environment."""
    return [_deployment_of(row) for row in await connection.fetch(LIST_DEPLOYMENTS, version_id)]


async def save_revision(connection: Connection, *, version_id: UUID, now: datetime) -> int:
    """Count that the version answers elsewhere than before; answers its new revision."""
    revision: int = await connection.fetchval(NEXT_REVISION, version_id, now)
    return revision


async def agree_to_endpoint(connection: Connection, *, version_id: UUID) -> None:
    """Keep the routed endpoint as the one that was agreed to for production; the caller holds the model's lock."""
    await connection.execute(AGREE_TO_ENDPOINT, version_id)


async def save_deployment(connection: Connection, deployment: Deployment, *, version_id: UUID) -> None:
    """Write the deployment over the one that its environment had."""
    await connection.execute(
        SAVE_DEPLOYMENT,
        version_id,
        deployment.environment,
        deployment.endpoint.model_dump(mode="json"),
        deployment.health,
        deployment.recorded_at,
        deployment.recorded_by,
    )


def _deployment_of(row: asyncpg.Record) -> Deployment:
    return Deployment(
        environment=row["environment"],
        endpoint=Endpoint.model_validate(row["endpoint"]),
        health=row["health"],
        recorded_at=row["recorded_at"],
        recorded_by=row["recorded_by"],
    )
