"""Registered models with very many versions, made inside the database: a template version, copied row by row.

The template was registered through the server's own API, so a copy has whatever columns that server writes.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

import asyncpg

from benchmarks.mlflow_server import DATABASE
from benchmarks.report import progress

ROWS_PER_STATEMENT = 100_000
STATEMENT_TIMEOUT_S = 600.0

# Numbers and semantic versions go on from the template's, a second apart, as they do in a registry.
COPY_VERSIONS = """
INSERT INTO model_versions
SELECT made.* FROM model_versions AS template, generate_series($2::integer, $3::integer) AS copy (number),
LATERAL jsonb_populate_record(template, jsonb_build_object(
    'id', uuidv7(),
    'number', copy.number,
    'semver', jsonb_build_array(1, copy.number, 0),
    'run_id', 'run-' || copy.number,
    'created_at', template.created_at + copy.number * interval '1 second',
    'updated_at', template.created_at + copy.number * interval '1 second'
)) AS made
WHERE template.registered_model_id = $1 AND template.number = 1
"""
COPY_METRICS = """
INSERT INTO version_metrics
SELECT made.* FROM model_versions AS template
JOIN version_metrics AS metric ON metric.version_id = template.id
JOIN model_versions AS copy ON copy.registered_model_id = template.registered_model_id
CROSS JOIN LATERAL
    jsonb_populate_record(metric, jsonb_build_object('version_id', copy.id, 'number', copy.number)) AS made
WHERE template.registered_model_id = $1 AND template.number = 1 AND copy.number BETWEEN $2 AND $3
"""
COPY_MLFLOW_VERSIONS = """
INSERT INTO model_versions
SELECT made.* FROM model_versions AS template, generate_series($2::integer, $3::integer) AS copy (number),
LATERAL jsonb_populate_record(template, jsonb_build_object('version', copy.number)) AS made
WHERE template.name = $1 AND template.version = 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedModel:
    """A registered model and how many versions it has at the beginning."""

    name: str
    versions: int

    @classmethod
    def of(cls, versions: int) -> "SizedModel":
        """The model with so many versions."""
        return cls(name=f"model-with-{versions}", versions=versions)


async def fill_registry(dsn: str, models: list[SizedModel]) -> None:
    """Give each model, which has its version 1, all its other versions."""
    connection = await asyncpg.connect(dsn, command_timeout=STATEMENT_TIMEOUT_S)
    try:
        for model in models:
            model_id = await connection.fetchval("SELECT id FROM registered_models WHERE name = $1", model.name)
            for first, last in _portions(model):
                await connection.execute(COPY_VERSIONS, model_id, first, last)
                await connection.execute(COPY_METRICS, model_id, first, last)
                progress(f"sizes: {last:,} of {model.versions:,} versions")
            await connection.execute(
                "UPDATE registered_models SET last_number = $2 WHERE id = $1", model_id, model.versions
            )
        await _tidy(connection)
    finally:
        await connection.close()


async def fill_mlflow(dsn: str, models: list[SizedModel]) -> None:
    """The same in the database of MLflow's server, which is beside ours on the server of `dsn`."""
    connection = await asyncpg.connect(
        urlsplit(dsn)._replace(path=f"/{DATABASE}").geturl(), command_timeout=STATEMENT_TIMEOUT_S
    )
    try:
        for model in models:
            for first, last in _portions(model):
                await connection.execute(COPY_MLFLOW_VERSIONS, model.name, first, last)
        await _tidy(connection)
    finally:
        await connection.close()


def _portions(model: SizedModel) -> list[tuple[int, int]]:
    return [
        (first, min(first + ROWS_PER_STATEMENT - 1, model.versions))
        for first in range(2, model.versions + 1, ROWS_PER_STATEMENT)
    ]


async def _tidy(connection: asyncpg.Connection) -> None:
    # What autovacuum would do to a database that grew slowly; and nothing of the filling is written while we measure.
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
