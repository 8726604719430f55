"""What is there for whom: callers who may read what is in production only see nothing else, not even that it is there.

Lists leave the rest out in SQL; asked for by name or digest, it is not found.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from modelyard_events.values import Stage
from modelyard_runtime.access.permissions import Permission

from modelyard_registry.api import Call
from modelyard_registry.models.domain import ModelVersion, Reference, RegisteredModel
from modelyard_registry.models.store import RegisteredModelNotFoundError, get_model, get_version, version_not_found
from modelyard_registry.transactions.database import Connection

HAS_VERSION_IN = """
SELECT EXISTS (
    SELECT 1 FROM model_versions v JOIN registered_models m ON m.id = v.registered_model_id
    WHERE m.project = $1 AND m.name = $2 AND m.deleted_at IS NULL AND v.stage = $3)"""

ALIASES_OF_VERSIONS_IN = """
SELECT a.registered_model_id, a.alias FROM aliases a
JOIN model_versions v ON v.registered_model_id = a.registered_model_id AND v.number = a.number
WHERE a.registered_model_id = ANY($1) AND v.stage = $2"""

IS_ARTIFACT_OF_VERSION_IN = """
SELECT EXISTS (
    SELECT 1 FROM model_versions v JOIN registered_models m ON m.id = v.registered_model_id
    WHERE v.project = $1 AND v.digest = $2 AND v.stage = $3 AND m.deleted_at IS NULL
) OR EXISTS (
    SELECT 1 FROM version_artifacts t JOIN model_versions v ON v.id = t.version_id
    JOIN registered_models m ON m.id = v.registered_model_id
    WHERE t.project = $1 AND t.digest = $2 AND v.stage = $3 AND m.deleted_at IS NULL)"""


def stage_seen_by(call: Call, *, project: str, permission: Permission = Permission.MODELS_READ) -> Stage | None:
    """The only stage whose versions are there for the caller; None when all are."""
    return None if call.principal.may(permission, project) else Stage.PRODUCTION


async def get_visible_model(connection: Connection, call: Call, *, project: str, name: str) -> RegisteredModel:
    """The registered model, with the aliases that the caller may know.

    Raises RegisteredModelNotFoundError, also when the caller may not know that it is there.
    """
    await _refuse_unless_visible(connection, call, project=project, name=name, permission=Permission.MODELS_READ)
    model = await get_model(connection, project=project, name=name)
    (shown,) = await without_hidden_aliases(connection, call, [model], project=project)
    return shown


async def get_visible_version(
    connection: Connection,
    call: Call,
    *,
    project: str,
    model: str,
    reference: Reference,
    permission: Permission = Permission.MODELS_READ,
) -> ModelVersion:
    """The version that `reference` names; `permission` is what lets the caller see those of all stages.

    Raises RegisteredModelNotFoundError or ModelVersionNotFoundError, also when the caller may not know that it is
    there.
    """
    await _refuse_unless_visible(connection, call, project=project, name=model, permission=permission)
    version = await get_version(connection, project=project, model=model, reference=reference)
    stage = stage_seen_by(call, project=project, permission=permission)
    if stage is not None and version.stage is not stage:
        raise version_not_found(model, reference)
    return version


async def without_hidden_aliases(
    connection: Connection, call: Call, models: Sequence[RegisteredModel], *, project: str
) -> list[RegisteredModel]:
    """The same models without the aliases that point at versions of which the caller may not know."""
    stage = stage_seen_by(call, project=project)
    if stage is None:
        return list(models)
    rows = await connection.fetch(ALIASES_OF_VERSIONS_IN, [model.id for model in models], stage)
    known: set[tuple[UUID, str]] = {(row["registered_model_id"], row["alias"]) for row in rows}
    return [
        replace(model, aliases={alias: number for alias, number in model.aliases.items() if (model.id, alias) in known})
        for model in models
    ]


async def is_artifact_visible(connection: Connection, call: Call, *, project: str, digest: str) -> bool:
    """Whether the caller may know that the project has this artifact."""
    stage = stage_seen_by(call, project=project, permission=Permission.ARTIFACTS_READ)
    if stage is None:
        return True
    return bool(await connection.fetchval(IS_ARTIFACT_OF_VERSION_IN, project, digest, stage))


async def _refuse_unless_visible(
    connection: Connection, call: Call, *, project: str, name: str, permission: Permission
) -> None:
    stage = stage_seen_by(call, project=project, permission=permission)
    if stage is not None and not await connection.fetchval(HAS_VERSION_IN, project, name, stage):
        raise RegisteredModelNotFoundError(f"The project {project} has no registered model {name}.")
