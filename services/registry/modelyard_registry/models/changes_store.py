"""Changes of registered models in PostgreSQL. The caller holds the lock of what it changes."""

from datetime import datetime
from uuid import UUID

import asyncpg
from modelyard_events.model_changes import BuildStatus, ModelVersionFacts, RegisteredModelFacts, ReviewStatus

from modelyard_registry.models.domain import ModelVersion, RegisteredModel
from modelyard_registry.models.locks import lock_type_of_model
from modelyard_registry.routes.domain import ROUTABLE_STAGES
from modelyard_registry.transactions.database import Connection

UPDATE_MODEL = """
UPDATE registered_models SET description = $2, owner = $3, team = $4, primary_metric = $5, higher_is_better = $6,
    tags = $7, updated_at = $8, revision = revision + 1
WHERE id = $1
"""
RENAME_MODEL = "UPDATE registered_models SET name = $2, updated_at = $3, revision = revision + 1 WHERE id = $1"
RESERVE_NAME = """
INSERT INTO former_model_names (project, name, registered_model_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
"""
RECLAIM_NAME = "DELETE FROM former_model_names WHERE project = $1 AND name = $2 AND registered_model_id = $3"
SET_DELETED = """
UPDATE registered_models SET deleted_at = $2, deleted_by = $3, updated_at = $4, revision = revision + 1 WHERE id = $1
"""
UPDATE_VERSION = """
UPDATE model_versions SET description = $2, tags = $3, model_card = $4, custom_metadata = $5, updated_at = $6,
    revision = revision + 1
WHERE id = $1
"""
SET_BUILD_STATUS = """
UPDATE model_versions SET build_status = $2, updated_at = $3, revision = revision + 1 WHERE id = $1
"""
SET_REVIEW_STATUS = """
UPDATE model_versions SET review_status = $2, updated_at = $3, revision = revision + 1 WHERE id = $1
"""
MODEL_REVISION = "SELECT revision FROM registered_models WHERE project = $1 AND name = $2"
SERVING_NUMBERS = """
SELECT number FROM model_versions WHERE registered_model_id = $1 AND stage = ANY($2::text[])
ORDER BY number DESC LIMIT 5
"""
RUNNING_EXPERIMENTS = """
SELECT e.key FROM experiments e WHERE e.project = $1 AND e.model_type = $2 AND e.state = 'running' AND EXISTS (
    SELECT 1 FROM experiment_variants v WHERE v.experiment_id = e.id AND v.model = $3)
ORDER BY e.key LIMIT 5
"""


async def save_facts(
    connection: Connection, *, registered_model_id: UUID, facts: RegisteredModelFacts, now: datetime
) -> None:
    """Describe the model as `facts` say."""
    await connection.execute(
        UPDATE_MODEL,
        registered_model_id,
        facts.description,
        facts.owner,
        facts.team,
        facts.primary_metric,
        facts.higher_is_better,
        facts.tags,
        now,
    )


async def save_name(connection: Connection, model: RegisteredModel, *, name: str, now: datetime) -> bool:
    """Give the model another name and keep the old one for it; false when the new one is taken."""
    try:
        async with connection.transaction():
            await connection.execute(RENAME_MODEL, model.id, name, now)
    except asyncpg.UniqueViolationError:
        return False
    await connection.execute(RECLAIM_NAME, model.project, name, model.id)
    await connection.execute(RESERVE_NAME, model.project, model.name, model.id)
    return True


async def save_deleted(connection: Connection, model: RegisteredModel, *, by: str | None, now: datetime) -> None:
    """Put the model away in the name of `by`, or bring it back when that is None."""
    await connection.execute(SET_DELETED, model.id, None if by is None else now, by, now)


async def lock_revision(connection: Connection, *, project: str, name: str) -> int | None:
    """The revision of the registered model, deleted or not, under its lock; None when there is none."""
    # The whole model type, as a rollback locks it: a transition that follows in the same transaction locks the
    # model's slot, and locks are taken in the order of ids.
    await lock_type_of_model(connection, project=project, name=name)
    revision: int | None = await connection.fetchval(MODEL_REVISION, project, name)
    return revision


async def what_serves(connection: Connection, model: RegisteredModel) -> list[str]:
    """Versions of the model that may be routed to and running experiments that name it, in words; a few of each."""
    numbers = await connection.fetch(SERVING_NUMBERS, model.id, list(ROUTABLE_STAGES))
    keys = await connection.fetch(RUNNING_EXPERIMENTS, model.project, model.model_type, model.name)
    return [f"version {row['number']} serves" for row in numbers] + [
        f"experiment {row['key']} is running" for row in keys
    ]


async def save_version_facts(
    connection: Connection, version: ModelVersion, *, facts: ModelVersionFacts, now: datetime
) -> None:
    """Describe the version as `facts` say."""
    model_card = facts.model_card.model_dump(mode="json") if facts.model_card else None
    await connection.execute(
        UPDATE_VERSION, version.id, facts.description, facts.tags, model_card, facts.custom_metadata, now
    )


async def save_build_status(
    connection: Connection, version: ModelVersion, *, status: BuildStatus, now: datetime
) -> None:
    """Remember how far the making of the version has come."""
    await connection.execute(SET_BUILD_STATUS, version.id, status, now)


async def save_review_status(
    connection: Connection, version: ModelVersion, *, status: ReviewStatus, now: datetime
) -> None:
    """Remember what a person said about the version."""
    await connection.execute(SET_REVIEW_STATUS, version.id, status, now)
