"""Models and versions as the compatible operations show them: found by id, or by name with their versions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from modelyard_events.values import Stage
from modelyard_runtime.problems import NotFoundError

from modelyard_registry.artifacts.formats import METADATA
from modelyard_registry.routes.champion_history import CHAMPION
from modelyard_registry.transactions.database import Connection

# What one answer holds at most of a model's versions; all of them are listed page by page.
VERSIONS_MAX = 1_000

PROJECT_OF = """
SELECT project FROM registered_models WHERE id = $1
UNION ALL
SELECT m.project FROM model_versions v JOIN registered_models m ON m.id = v.registered_model_id WHERE v.id = $1
LIMIT 1
"""
_MODELS = """
SELECT m.id, m.project, m.name, m.description, m.tags, m.last_number, m.created_at, m.created_by, m.updated_at
FROM registered_models m
"""
MODEL_BY_ID = f"{_MODELS} WHERE m.project = $1 AND m.id = $2 AND m.deleted_at IS NULL"
LIST_MODELS = f"""
{_MODELS}
WHERE m.project = $1 AND m.deleted_at IS NULL AND m.name > $2
  AND ($3::text IS NULL OR strpos(lower(m.name), lower($3)) > 0)
ORDER BY m.name LIMIT $4
"""
_VERSION_COLUMNS = """
    v.id, v.registered_model_id, m.name AS model, v.number, v.semver, v.stage, v.run_id, v.digest, v.format,
    v.evidence -> 'metrics' AS metrics, v.description, v.tags, v.custom_metadata, v.created_at, v.created_by,
    v.updated_at, approval.approved_by, approval.approved_at
"""
_APPROVAL = """
LEFT JOIN LATERAL (
    SELECT coalesce(d.actor, t.transitioned_by) AS approved_by, coalesce(d.decided_at, t.transitioned_at) AS approved_at
    FROM transitions t LEFT JOIN transition_decisions d ON d.request_id = t.request_id AND d.decision = 'approval'
    WHERE t.version_id = v.id AND t.to_stage = 'production' ORDER BY t.id DESC, d.decided_at DESC LIMIT 1
) AS approval ON true
"""
_VERSIONS = f"""
SELECT {_VERSION_COLUMNS}
FROM model_versions v JOIN registered_models m ON m.id = v.registered_model_id {_APPROVAL}
"""
VERSION_BY_ID = f"{_VERSIONS} WHERE m.project = $1 AND v.id = $2 AND m.deleted_at IS NULL"
VERSION_BY_SEMVER = f"{_VERSIONS} WHERE m.project = $1 AND m.id = $2 AND v.semver = $3 AND m.deleted_at IS NULL"
LIST_VERSIONS = f"""
{_VERSIONS}
WHERE m.project = $1 AND m.id = $2 AND m.deleted_at IS NULL AND v.number < $3
  AND ($4::text[] IS NULL OR v.stage = ANY($4))
ORDER BY v.number DESC LIMIT $5
"""
# One look per model and stage into an index, instead of one at every version of the project.
LATEST_IN_STAGES = f"""
SELECT {_VERSION_COLUMNS}
FROM registered_models m
CROSS JOIN LATERAL (
    SELECT * FROM model_versions w WHERE w.registered_model_id = m.id AND w.stage = ANY($2)
    ORDER BY w.number DESC LIMIT 1
) AS v {_APPROVAL}
WHERE m.project = $1 AND m.deleted_at IS NULL AND ($3::uuid IS NULL OR m.id = $3)
ORDER BY v.id DESC LIMIT 1
"""
SUMMARY = """
SELECT (SELECT count(*) FROM registered_models WHERE project = $1 AND deleted_at IS NULL) AS models,
    (SELECT jsonb_object_agg(stage, versions) FROM (
        SELECT v.stage, count(*) AS versions
        FROM model_versions v JOIN registered_models m ON m.id = v.registered_model_id
        WHERE m.project = $1 AND m.deleted_at IS NULL GROUP BY v.stage
    ) AS counted) AS versions_by_stage
"""
LIST_BY_NAME = f"""
SELECT m.name, latest.semver AS latest, champion.semver AS champion, ARRAY(
    SELECT v.semver[1] || '.' || v.semver[2] || '.' || v.semver[3] FROM (
        SELECT semver FROM model_versions
        WHERE registered_model_id = m.id AND ($5::text IS NULL OR stage = $5) ORDER BY number DESC LIMIT $4
    ) AS v ORDER BY v.semver
) AS versions
FROM registered_models m
LEFT JOIN LATERAL (
    SELECT semver FROM model_versions
    WHERE registered_model_id = m.id AND ($5::text IS NULL OR stage = $5) ORDER BY semver DESC LIMIT 1
) AS latest ON true
LEFT JOIN aliases a ON a.registered_model_id = m.id AND a.alias = '{CHAMPION}'
LEFT JOIN model_versions champion ON champion.registered_model_id = m.id AND champion.number = a.number
WHERE m.project = $1 AND m.deleted_at IS NULL AND m.name > $2 AND ($5::text IS NULL OR latest.semver IS NOT NULL)
ORDER BY m.name LIMIT $3
"""


class IdNotFoundError(NotFoundError):
    """Nothing in the project has this id."""

    code = "id-not-found"
    when = "The project has no registered model, or no version, with this id."
    fix = "List them with GET /api/v1/registry/models; name another project with `project_id`."


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A registered model, as far as the compatible operations show it."""

    id: UUID
    project: str
    name: str
    description: str | None
    tags: dict[str, str]
    last_number: int
    created_at: datetime
    created_by: str
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVersion:
    """A version, as far as they show it. `approved_by` agreed to its last move to production, or made it."""

    id: UUID
    registered_model_id: UUID
    model: str
    number: int
    semver: tuple[int, int, int]
    stage: Stage
    run_id: str | None
    digest: str
    format: str
    metrics: dict[str, float]
    description: str | None
    tags: dict[str, str]
    custom_metadata: dict[str, Any]
    created_at: datetime
    created_by: str
    updated_at: datetime
    approved_by: str | None
    approved_at: datetime | None

    @property
    def has_artifact(self) -> bool:
        """Whether there is more behind its digest than the request that registered it."""
        return self.format != METADATA


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How much a project has registered."""

    models: int
    versions_by_stage: dict[Stage, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A registered model with its semantic versions, in their order."""

    name: str
    versions: tuple[str, ...]
    latest: tuple[int, int, int] | None
    champion: tuple[int, int, int] | None


async def find_project_of(connection: Connection, thing: UUID) -> str | None:
    """The project of the registered model or the version that has this id."""
    project: str | None = await connection.fetchval(PROJECT_OF, thing)
    return project


async def get_model_by_id(connection: Connection, *, project: str, model_id: UUID) -> FoundModel:
    """The registered model. Raises IdNotFoundError."""
    row = await connection.fetchrow(MODEL_BY_ID, project, model_id)
    if row is None:
        raise IdNotFoundError(f"The project {project} has no registered model with the id {model_id}.")
    return FoundModel(**dict(row))


async def list_models(
    connection: Connection, *, project: str, after: str, search: str | None, limit: int
) -> Sequence[FoundModel]:
    """Registered models by name, those after the name `after` whose name contains `search`."""
    return [FoundModel(**dict(row)) for row in await connection.fetch(LIST_MODELS, project, after, search, limit)]


async def get_version_by_id(connection: Connection, *, project: str, version_id: UUID) -> FoundVersion:
    """The version. Raises IdNotFoundError."""
    row = await connection.fetchrow(VERSION_BY_ID, project, version_id)
    if row is None:
        raise IdNotFoundError(
            f"The project {project} has no version with the id {version_id}.",
            fix="List them with GET /api/v1/registry/models/{model_id}/versions.",
        )
    return _version_of(row)


async def find_version_by_semver(
    connection: Connection, *, project: str, model_id: UUID, semver: Sequence[int]
) -> FoundVersion | None:
    """The model's version with this semantic version."""
    row = await connection.fetchrow(VERSION_BY_SEMVER, project, model_id, list(semver))
    return _version_of(row) if row else None


async def list_versions(
    connection: Connection,
    *,
    project: str,
    model_id: UUID,
    before: int,
    stages: Collection[Stage] | None,
    limit: int,
) -> Sequence[FoundVersion]:
    """The model's versions from the newest to the oldest, those with a number below `before`."""
    wanted = None if stages is None else list(stages)
    return [_version_of(row) for row in await connection.fetch(LIST_VERSIONS, project, model_id, before, wanted, limit)]


async def find_latest_in(
    connection: Connection, *, project: str, stages: Collection[Stage], model_id: UUID | None
) -> FoundVersion | None:
    """The version in one of `stages` that was registered last, of one model or of all."""
    row = await connection.fetchrow(LATEST_IN_STAGES, project, list(stages), model_id)
    return _version_of(row) if row else None


async def summarise(connection: Connection, *, project: str) -> Summary:
    """The project's models and versions, counted."""
    row = await connection.fetchrow(SUMMARY, project)
    counts: dict[str, int] = (row["versions_by_stage"] or {}) if row else {}
    return Summary(
        models=row["models"] if row else 0,
        versions_by_stage={Stage(stage): versions for stage, versions in counts.items()},
    )


async def list_by_name(
    connection: Connection, *, project: str, after: str, limit: int, stage: Stage | None = None
) -> Sequence[NamedModel]:
    """Registered models with their versions, by name, those after the name `after`.

    With a `stage` only the versions there, and only models that have one.
    """
    rows = await connection.fetch(LIST_BY_NAME, project, after, limit, VERSIONS_MAX, stage)
    return [
        NamedModel(
            name=row["name"],
            versions=tuple(row["versions"]),
            latest=_parts(row["latest"]),
            champion=_parts(row["champion"]),
        )
        for row in rows
    ]


def _parts(semver: Sequence[int] | None) -> tuple[int, int, int] | None:
    return None if semver is None else (semver[0], semver[1], semver[2])


def _version_of(row: asyncpg.Record) -> FoundVersion:
    values: dict[str, Any] = dict(row)
    values["semver"] = _parts(values["semver"])
    values["stage"] = Stage(values["stage"])
    return FoundVersion(**values)
