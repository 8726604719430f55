"""Experiments in PostgreSQL."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from modelyard_events.registry import ExperimentVariant
from modelyard_events.routes import RoutableVersion
from modelyard_runtime.problems import NotFoundError

from modelyard_registry.experiments.domain import Experiment, ExperimentScope, State
from modelyard_registry.routes.domain import ROUTED_ENVIRONMENT
from modelyard_registry.transactions.database import Connection

_COLUMNS = """id::text, project, model_type, key, salt, state, hypothesis, traffic_bp, tenants, industries, variants,
    started_at, started_by, stopped_at, stopped_by, stop_reason"""

INSERT = """
INSERT INTO experiments (id, project, model_type, key, salt, state, hypothesis, traffic_bp, tenants, industries,
    variants, started_at, started_by)
VALUES ($1, $2, $3, $4, $5, 'running', $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (project, key) DO NOTHING RETURNING id"""

CONCLUDE = """
UPDATE experiments SET state = 'concluded', stopped_at = $2, stopped_by = $3, stop_reason = $4
WHERE id = $1 AND state = 'running' RETURNING id"""

FIND = f"SELECT {_COLUMNS} FROM experiments WHERE project = $1 AND key = $2"

LIST_RUNNING = f"""
SELECT {_COLUMNS} FROM experiments WHERE project = $1 AND model_type = $2 AND state = 'running' ORDER BY key"""

LIST_TOUCHING = f"""
SELECT {_COLUMNS} FROM experiments e WHERE project = $1 AND state = 'running' AND EXISTS (
    SELECT 1 FROM experiment_variants v WHERE v.experiment_id = e.id AND v.model = $2 AND v.number = $3)
ORDER BY key"""

LIST_PAGE = f"""
SELECT {_COLUMNS} FROM experiments
WHERE project = $1 AND key > $2 AND ($3::text IS NULL OR state = $3) AND ($4::text IS NULL OR model_type = $4)
ORDER BY key LIMIT $5"""

FIND_VERSION = f"""
SELECT v.id::text AS version_id, m.model_type, m.name AS model, v.number, v.semver, v.stage, m.scope, m.industry,
       m.tenant, v.digest, v.improvement, v.quarantined, d.endpoint
FROM registered_models m
JOIN model_versions v ON v.registered_model_id = m.id
LEFT JOIN deployments d ON d.version_id = v.id AND d.environment = '{ROUTED_ENVIRONMENT}'
WHERE m.project = $1 AND m.name = $2 AND m.deleted_at IS NULL AND v.number = $3"""

FIND_MODEL_ID = "SELECT id FROM registered_models WHERE project = $1 AND name = $2"


class ExperimentNotFoundError(NotFoundError):
    """The project has no experiment of this key."""

    code = "experiment-not-found"
    when = "The project has no experiment of this key."
    fix = "List them with GET /api/v1/projects/{project}/experiments."


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedVersion:
    """A version with the model type that it answers for."""

    model_type: str
    version: RoutableVersion


async def insert_experiment(connection: Connection, experiment: Experiment) -> bool:
    """Write a new running experiment; False when its key is taken."""
    found = await connection.fetchval(
        INSERT,
        experiment.id,
        experiment.project,
        experiment.model_type,
        experiment.key,
        experiment.salt,
        experiment.hypothesis,
        experiment.traffic_bp,
        list(experiment.scope.tenants),
        list(experiment.scope.industries),
        [each.model_dump(mode="json") for each in experiment.variants],
        experiment.started_at,
        experiment.started_by,
    )
    return found is not None


async def conclude_experiment(connection: Connection, experiment: Experiment) -> bool:
    """Write the end of an experiment; False when somebody else ended it before."""
    found = await connection.fetchval(
        CONCLUDE, experiment.id, experiment.stopped_at, experiment.stopped_by, experiment.stop_reason
    )
    return found is not None


async def get_experiment(connection: Connection, *, project: str, key: str) -> Experiment:
    """The experiment of that key. Raises ExperimentNotFoundError."""
    row = await connection.fetchrow(FIND, project, key)
    if row is None:
        raise ExperimentNotFoundError(
            f"The project {project} has no experiment {key}.",
            fix=f"GET /api/v1/projects/{project}/experiments lists the experiments that there are.",
        )
    return _experiment(row)


async def list_running(connection: Connection, *, project: str, model_type: str) -> list[Experiment]:
    """The running experiments of a model type."""
    return [_experiment(row) for row in await connection.fetch(LIST_RUNNING, project, model_type)]


async def list_touching(connection: Connection, *, project: str, model: str, number: int) -> list[Experiment]:
    """The running experiments that have this version as a variant."""
    return [_experiment(row) for row in await connection.fetch(LIST_TOUCHING, project, model, number)]


async def list_experiments(
    connection: Connection,
    *,
    project: str,
    after: str,
    state: State | None,
    model_type: str | None,
    limit: int,
) -> list[Experiment]:
    """A page of experiments by key, those after `after`."""
    rows = await connection.fetch(LIST_PAGE, project, after, state, model_type, limit)
    return [_experiment(row) for row in rows]


async def find_typed_version(connection: Connection, *, project: str, model: str, number: int) -> TypedVersion | None:
    """The version with its production endpoint, or None when there is no such version."""
    row = await connection.fetchrow(FIND_VERSION, project, model, number)
    if row is None:
        return None
    values: dict[str, Any] = dict(row)
    model_type = values.pop("model_type")
    values["semver"] = ".".join(str(part) for part in values["semver"])
    return TypedVersion(model_type=model_type, version=RoutableVersion.model_validate(values))


async def get_model_id(connection: Connection, *, project: str, model: str) -> UUID:
    """The id of a registered model, which a variant names and which is never deleted."""
    found: UUID | None = await connection.fetchval(FIND_MODEL_ID, project, model)
    if found is None:
        raise LookupError(f"an experiment names the registered model {project}/{model}, which is not there")
    return found


def _experiment(row: asyncpg.Record) -> Experiment:
    values: dict[str, Any] = dict(row)
    scope = ExperimentScope(tenants=tuple(values.pop("tenants")), industries=tuple(values.pop("industries")))
    variants = tuple(ExperimentVariant.model_validate(each) for each in values.pop("variants"))
    return Experiment(**values, scope=scope, variants=variants)
