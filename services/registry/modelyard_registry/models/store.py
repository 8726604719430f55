"""Registered models and versions in PostgreSQL, as they are read."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
from modelyard_events.model_changes import ModelVersionFacts
from modelyard_events.values import Evidence, Scope, Stage
from modelyard_runtime.problems import NotFoundError

from modelyard_registry.models.domain import (
    AliasReference,
    Latest,
    ModelVersion,
    Reference,
    RegisteredModel,
    SemanticVersion,
    describe_reference,
)
from modelyard_registry.transactions.database import Connection

MODEL_COLUMNS = """
    m.id, m.project, m.name, m.model_type, m.scope, m.industry, m.tenant, m.description, m.owner, m.team,
    m.primary_metric, m.higher_is_better, m.tags, m.last_number, m.revision, m.created_at, m.created_by, m.updated_at,
    m.deleted_at,
    (SELECT jsonb_object_agg(a.alias, a.number) FROM aliases a WHERE a.registered_model_id = m.id) AS aliases
"""
VERSION_COLUMNS = """
    v.id, v.registered_model_id, m.name AS model, v.number, v.semver, v.stage, v.quarantined, v.digest,
    v.artifact_bytes, v.format, v.run_id, v.evidence, v.improvement, v.improvement_reason, v.revision,
    v.created_at, v.created_by, v.updated_at, v.build_status, v.review_status,
    v.description, v.tags, v.model_card, v.custom_metadata,
    (SELECT array_agg(a.alias ORDER BY a.alias) FROM aliases a
     WHERE a.registered_model_id = v.registered_model_id AND a.number = v.number) AS aliases
"""
INSERT_MODEL = """
INSERT INTO registered_models (
    id, project, name, model_type, scope, industry, tenant, description, owner, team, primary_metric,
    higher_is_better, tags, created_at, created_by, updated_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $14)
ON CONFLICT (project, name) DO NOTHING
RETURNING id
"""
FIND_MODEL = f"""
SELECT {MODEL_COLUMNS} FROM registered_models m WHERE m.project = $1 AND m.name = $2 AND m.deleted_at IS NULL
"""
FIND_DELETED = f"""
SELECT {MODEL_COLUMNS} FROM registered_models m WHERE m.project = $1 AND m.name = $2 AND m.deleted_at IS NOT NULL
"""
FIND_NEW_NAME = """
SELECT m.name FROM former_model_names f JOIN registered_models m ON m.id = f.registered_model_id
WHERE f.project = $1 AND f.name = $2
"""
MODELS_BY_ID = f"SELECT {MODEL_COLUMNS} FROM registered_models m WHERE m.id = ANY($1) ORDER BY m.name"
_VERSIONS = f"""
SELECT {VERSION_COLUMNS} FROM model_versions v JOIN registered_models m ON m.id = v.registered_model_id
"""
FIND_BY_RUN = f"{_VERSIONS} WHERE m.id = $1 AND v.run_id = $2 AND v.digest = $3"
FIND_HIGHEST_BEFORE = """
SELECT semver FROM model_versions WHERE registered_model_id = $1 AND number < $2 ORDER BY semver DESC LIMIT 1
"""
FIND_BY_NUMBER = f"{_VERSIONS} WHERE m.project = $1 AND m.name = $2 AND m.deleted_at IS NULL AND v.number = $3"
FIND_BY_SEMVER = f"{_VERSIONS} WHERE m.project = $1 AND m.name = $2 AND m.deleted_at IS NULL AND v.semver = $3"
FIND_LATEST = f"""
{_VERSIONS} WHERE m.project = $1 AND m.name = $2 AND m.deleted_at IS NULL ORDER BY v.number DESC LIMIT 1
"""
FIND_BY_ALIAS = f"""
{_VERSIONS} JOIN aliases a ON a.registered_model_id = m.id AND a.number = v.number
WHERE m.project = $1 AND m.name = $2 AND m.deleted_at IS NULL AND a.alias = $3
"""


class RegisteredModelNotFoundError(NotFoundError):
    """The project has no registered model of this name."""

    code = "registered-model-not-found"
    when = "The project has no registered model of this name, or it was deleted or renamed."
    fix = "List what there is with GET …/registered-models."


class ModelVersionNotFoundError(NotFoundError):
    """The registered model has no such version."""

    code = "model-version-not-found"
    when = "The registered model has no version of this number, semantic version or alias."
    fix = "List its versions with GET …/registered-models/{name}/versions."


async def insert_model(connection: Connection, model: RegisteredModel) -> bool:
    """Write a new registered model; false when its name is taken."""
    inserted = await connection.fetchval(
        INSERT_MODEL,
        model.id,
        model.project,
        model.name,
        model.model_type,
        model.scope,
        model.industry,
        model.tenant,
        model.description,
        model.owner,
        model.team,
        model.primary_metric,
        model.higher_is_better,
        model.tags,
        model.created_at,
        model.created_by,
    )
    return inserted is not None


async def get_model(connection: Connection, *, project: str, name: str) -> RegisteredModel:
    """The registered model as it is, unlocked. Raises RegisteredModelNotFoundError."""
    row = await connection.fetchrow(FIND_MODEL, project, name)
    if row is None:
        raise await model_not_found(connection, project=project, name=name)
    return model_of(row)


async def find_deleted_model(connection: Connection, *, project: str, name: str) -> RegisteredModel | None:
    """The registered model that was deleted under this name."""
    row = await connection.fetchrow(FIND_DELETED, project, name)
    return model_of(row) if row else None


async def find_new_name(connection: Connection, *, project: str, name: str) -> str | None:
    """What a registered model that once had this name is called now."""
    new_name: str | None = await connection.fetchval(FIND_NEW_NAME, project, name)
    return new_name


async def list_models(connection: Connection, ids: Sequence[UUID]) -> tuple[RegisteredModel, ...]:
    """The registered models with these ids, by name."""
    return tuple(model_of(row) for row in await connection.fetch(MODELS_BY_ID, ids))


async def find_by_run(
    connection: Connection, *, registered_model_id: UUID, run_id: str, digest: str
) -> ModelVersion | None:
    """The version that this run made of this artifact."""
    row = await connection.fetchrow(FIND_BY_RUN, registered_model_id, run_id, digest)
    return version_of(row) if row else None


async def find_highest_before(
    connection: Connection, *, registered_model_id: UUID, number: int
) -> SemanticVersion | None:
    """The highest semantic version among those that were registered before version `number`."""
    semver = await connection.fetchval(FIND_HIGHEST_BEFORE, registered_model_id, number)
    return SemanticVersion(*semver) if semver else None


async def find_version(
    connection: Connection, *, project: str, model: str, reference: Reference
) -> ModelVersion | None:
    """The version that `reference` names."""
    match reference:
        case Latest():
            row = await connection.fetchrow(FIND_LATEST, project, model)
        case SemanticVersion():
            semver = [reference.major, reference.minor, reference.patch]
            row = await connection.fetchrow(FIND_BY_SEMVER, project, model, semver)
        case int():
            row = await connection.fetchrow(FIND_BY_NUMBER, project, model, reference)
        case AliasReference():
            row = await connection.fetchrow(FIND_BY_ALIAS, project, model, reference.alias)
    return version_of(row) if row else None


async def find_version_ever_called(
    connection: Connection, *, project: str, model: str, number: int
) -> ModelVersion | None:
    """The version with this number of the model that has, or once had, this name: what is recorded stays as it is."""
    found = await find_version(connection, project=project, model=model, reference=number)
    if found is not None:
        return found
    new_name = await find_new_name(connection, project=project, name=model)
    if new_name is None:
        return None
    return await find_version(connection, project=project, model=new_name, reference=number)


async def get_version(connection: Connection, *, project: str, model: str, reference: Reference) -> ModelVersion:
    """The version that `reference` names. Raises RegisteredModelNotFoundError or ModelVersionNotFoundError."""
    version = await find_version(connection, project=project, model=model, reference=reference)
    if version is not None:
        return version
    await get_model(connection, project=project, name=model)
    raise version_not_found(model, reference)


def version_not_found(model: str, reference: Reference) -> ModelVersionNotFoundError:
    """The refusal of a version that is not there, or not for the caller."""
    return ModelVersionNotFoundError(f"{model} has no version {describe_reference(reference)}.")


async def model_not_found(connection: Connection, *, project: str, name: str) -> RegisteredModelNotFoundError:
    """The refusal of a name that no registered model has; it says what became of a model that once had it."""
    fix = "Create it with POST /api/v1/projects/{project}/registered-models, or list what there is."
    new_name = await find_new_name(connection, project=project, name=name)
    if new_name is not None:
        return RegisteredModelNotFoundError(
            f"The project {project} has no registered model {name} any more: it was renamed to {new_name}.",
            fix=f"Use {new_name}.",
            renamed_to=new_name,
        )
    if await find_deleted_model(connection, project=project, name=name) is not None:
        fix = "It was deleted; restore it with POST …/registered-models/{name}/restore."
    return RegisteredModelNotFoundError(f"The project {project} has no registered model {name}.", fix=fix)


def model_of(row: asyncpg.Record) -> RegisteredModel:
    """The registered model in a row of `MODEL_COLUMNS`."""
    values: dict[str, Any] = dict(row)
    values["scope"] = Scope(values["scope"])
    values["aliases"] = values["aliases"] or {}
    return RegisteredModel(**values)


def version_of(row: asyncpg.Record | Mapping[str, Any]) -> ModelVersion:
    """The version in a row of `VERSION_COLUMNS`."""
    values: dict[str, Any] = dict(row)
    values["semver"] = SemanticVersion(*values["semver"])
    values["stage"] = Stage(values["stage"])
    values["evidence"] = Evidence.model_validate(values["evidence"])
    values["aliases"] = tuple(values["aliases"] or ())
    values["facts"] = ModelVersionFacts.model_validate(
        {name: values.pop(name) for name in ("description", "tags", "model_card", "custom_metadata")}
    )
    return ModelVersion(**values)
