"""The route row and what its document is made from, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg
from modelyard_events.routes import (
    FeatureSource,
    KillSwitch,
    RoutableVersion,
    RouteChanged,
    RunningExperiment,
    SelectionPolicy,
)
from modelyard_events.values import Endpoint

from modelyard_registry.routes.champion_history import CHAMPION
from modelyard_registry.routes.domain import (
    ROUTABLE_STAGES,
    ROUTED_ENVIRONMENT,
    ROUTED_STAGES,
    ChampionAlias,
    RouteSettings,
    RouteState,
)
from modelyard_registry.routes.former_champions import load_former
from modelyard_registry.transactions.database import Connection

ENSURE_ROUTE = """
INSERT INTO routes (project, model_type, policy) VALUES ($1, $2, $3) ON CONFLICT (project, model_type) DO NOTHING"""

_COLUMNS = """sequence, policy, feature_source, feature_source_revision, kill_switches, shadow_sample_bp, document"""

LOCK_ROUTE = f"SELECT {_COLUMNS} FROM routes WHERE project = $1 AND model_type = $2 FOR UPDATE"

SAVE_SETTINGS = """
UPDATE routes SET policy = $3, feature_source = $4, feature_source_revision = $5, kill_switches = $6,
    shadow_sample_bp = $7
WHERE project = $1 AND model_type = $2"""

SAVE_DOCUMENT = "UPDATE routes SET sequence = $3, document = $4 WHERE project = $1 AND model_type = $2"

# Versions that are routable by their stage, because a running experiment names them, or as former champions.
LOAD_VERSIONS = f"""
SELECT v.id::text AS version_id, m.name AS model, v.number, v.semver, v.stage, m.scope, m.industry, m.tenant,
       v.digest, (v.evidence ->> 'training_examples')::bigint AS training_examples, v.improvement,
       v.quarantined, d.endpoint,
       ARRAY(SELECT a.alias FROM aliases a
             WHERE a.registered_model_id = m.id AND a.number = v.number ORDER BY a.alias) AS aliases
FROM registered_models m
JOIN model_versions v ON v.registered_model_id = m.id
LEFT JOIN deployments d ON d.version_id = v.id AND d.environment = '{ROUTED_ENVIRONMENT}'
WHERE m.project = $1 AND m.model_type = $2 AND (
    v.stage = ANY($5::text[]) OR (m.name, v.number) IN (SELECT * FROM unnest($3::text[], $4::integer[]))
    OR EXISTS (
        SELECT 1 FROM experiment_variants e
        WHERE e.project = m.project AND e.model_type = m.model_type AND e.state = 'running'
          AND e.model = m.name AND e.number = v.number))"""

# The versions that a routing document may hold: by their stage (deprecated ones as former champions), or because a
# running experiment names them.
IS_ROUTED = """
SELECT EXISTS (
    SELECT 1 FROM model_versions
    WHERE registered_model_id = $1 AND number = ANY($2) AND stage = ANY($6::text[])
) OR EXISTS (
    SELECT 1 FROM experiment_variants e
    WHERE e.project = $3 AND e.model_type = $4 AND e.state = 'running' AND e.model = $5 AND e.number = ANY($2))
"""

NEIGHBOURING_TYPES = """
(SELECT DISTINCT model_type FROM registered_models WHERE project = $1 AND deleted_at IS NULL AND model_type >= $2
 ORDER BY model_type LIMIT $3)
UNION ALL
(SELECT DISTINCT model_type FROM registered_models WHERE project = $1 AND deleted_at IS NULL AND model_type < $2
 ORDER BY model_type DESC LIMIT $3)"""

HAS_MODEL = """
SELECT EXISTS (
    SELECT FROM registered_models WHERE project = $1 AND model_type = $2 AND deleted_at IS NULL)"""

LOAD_CHAMPIONS = f"""
SELECT m.name AS model, a.number, a.moved_at
FROM registered_models m JOIN aliases a ON a.registered_model_id = m.id AND a.alias = '{CHAMPION}'
WHERE m.project = $1 AND m.model_type = $2"""

LOAD_EXPERIMENTS = """
SELECT id::text AS experiment_id, key, salt, tenants, industries, traffic_bp, variants
FROM experiments WHERE project = $1 AND model_type = $2 AND state = 'running'"""

GET_DOCUMENT = "SELECT document FROM routes WHERE project = $1 AND model_type = $2 AND document IS NOT NULL"

LIST_DOCUMENTS = """
SELECT document FROM routes WHERE project = $1 AND model_type > $2 AND document IS NOT NULL
ORDER BY model_type LIMIT $3"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRow:
    """The route row as it stands, locked. `document` is the one with that sequence, None before the first."""

    sequence: int
    settings: RouteSettings
    document: dict[str, Any] | None


async def lock_route(connection: Connection, *, project: str, model_type: str) -> RouteRow:
    """The route row, made when it is not there; its lock is the last one that a transaction takes."""
    await connection.execute(ENSURE_ROUTE, project, model_type, SelectionPolicy().model_dump(mode="json"))
    row = await connection.fetchrow(LOCK_ROUTE, project, model_type)
    if row is None:
        raise LookupError(f"the route of {project}/{model_type} was deleted, which never happens")
    return RouteRow(sequence=row["sequence"], settings=_settings(row), document=row["document"])


async def load_state(connection: Connection, *, project: str, model_type: str, settings: RouteSettings) -> RouteState:
    """What the document is made from, as this transaction sees it now."""
    champions = [ChampionAlias(**dict(each)) for each in await connection.fetch(LOAD_CHAMPIONS, project, model_type)]
    former = await load_former(connection, project=project, model_type=model_type) if champions else {}
    models, numbers = [key[0] for key in former.values()], [key[1] for key in former.values()]
    versions = await connection.fetch(LOAD_VERSIONS, project, model_type, models, numbers, list(ROUTABLE_STAGES))
    experiments = await connection.fetch(LOAD_EXPERIMENTS, project, model_type)
    return RouteState(
        project=project,
        model_type=model_type,
        settings=settings,
        versions=[_version(each) for each in versions],
        champions=[replace(each, former=former.get(each.model)) for each in champions],
        experiments=[RunningExperiment.model_validate(dict(each)) for each in experiments],
    )


async def has_model(connection: Connection, *, project: str, model_type: str) -> bool:
    """Whether the project has a registered model of this type."""
    return bool(await connection.fetchval(HAS_MODEL, project, model_type))


async def is_routed(
    connection: Connection, *, project: str, model_type: str, model: str, model_id: UUID, numbers: Sequence[int]
) -> bool:
    """Whether routing may know any of these versions of the registered model."""
    return bool(
        await connection.fetchval(IS_ROUTED, model_id, numbers, project, model_type, model, list(ROUTED_STAGES))
    )


async def model_types_beside(connection: Connection, model_type: str, *, project: str, limit: int) -> list[str]:
    """The types of the project's models that come before and after `model_type` in the alphabet, `limit` each way."""
    return [each["model_type"] for each in await connection.fetch(NEIGHBOURING_TYPES, project, model_type, limit)]


async def save_settings(connection: Connection, settings: RouteSettings, *, project: str, model_type: str) -> None:
    """Keep the settings; the caller holds the row's lock."""
    source = settings.feature_source
    await connection.execute(
        SAVE_SETTINGS,
        project,
        model_type,
        settings.policy.model_dump(mode="json"),
        source.model_dump(mode="json") if source is not None else None,
        settings.feature_source_revision,
        [each.model_dump(mode="json") for each in settings.kill_switches],
        settings.shadow_sample_bp,
    )


async def save_document(connection: Connection, document: RouteChanged) -> None:
    """Keep the document under its revision; the caller holds the row's lock."""
    await connection.execute(
        SAVE_DOCUMENT,
        document.project,
        document.model_type,
        document.revision,
        document.model_dump(mode="json"),
    )


async def find_document(connection: Connection, *, project: str, model_type: str) -> RouteChanged | None:
    """The newest document, or None when there never was one."""
    found = await connection.fetchval(GET_DOCUMENT, project, model_type)
    return RouteChanged.model_validate(found) if found is not None else None


async def list_documents(connection: Connection, *, project: str, after: str, limit: int) -> list[RouteChanged]:
    """The newest documents of a project, by model type, those after `after`."""
    rows = await connection.fetch(LIST_DOCUMENTS, project, after, limit)
    return [RouteChanged.model_validate(each["document"]) for each in rows]


def _settings(row: asyncpg.Record) -> RouteSettings:
    source = row["feature_source"]
    return RouteSettings(
        policy=SelectionPolicy.model_validate(row["policy"]),
        feature_source=FeatureSource.model_validate(source) if source is not None else None,
        feature_source_revision=row["feature_source_revision"],
        kill_switches=tuple(KillSwitch.model_validate(each) for each in row["kill_switches"]),
        shadow_sample_bp=row["shadow_sample_bp"],
    )


def _version(row: asyncpg.Record) -> RoutableVersion:
    values: dict[str, Any] = dict(row)
    values["semver"] = ".".join(str(part) for part in values["semver"])
    endpoint = values["endpoint"]
    values["endpoint"] = Endpoint.model_validate(endpoint) if endpoint is not None else None
    return RoutableVersion.model_validate(values)
