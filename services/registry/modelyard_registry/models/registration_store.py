"""What registrations read and write in PostgreSQL: one statement before they are decided, and one after.

Both take any number of registrations, of any models. Locks are taken in the order of the models' ids.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
from modelyard_events.values import Evidence, Feature
from pydantic import TypeAdapter

from modelyard_registry.database import Connection, columns_of
from modelyard_registry.idempotency import Claim, KeptAnswer
from modelyard_registry.models.domain import ModelVersion, RegisterModelVersion, SemanticVersion
from modelyard_registry.models.feature_differences import LowerVersion
from modelyard_registry.models.registration import Grounds, LockedModel, UploadedArtifact, VersionSeries
from modelyard_registry.models.store import find_by_run, find_highest_before, find_version_ever_called

LOCK_MODELS = """
SELECT m.id FROM registered_models m
WHERE (m.project, m.name) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY m.id FOR UPDATE
"""
# The models are locked by the very statement that reads around them: whatever it sees is as old as its beginning,
# and the locked rows alone are as new as their locks. A model that had news in between shows by its sequences.
LOAD = """
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::int[], $7::int[], $8::boolean[],
        $9::text[], $10::int[], $11::text[], $12::text[]
    ) WITH ORDINALITY AS given (project, model, digest, run_id, major, minor, patch, has_features,
        parent_model, parent_number, actor, key, at)
), locked AS MATERIALIZED (
    SELECT m.id, m.project, m.name, m.primary_metric, m.higher_is_better, m.last_number, m.last_sequence, m.revision,
        m.deleted_at IS NOT NULL AS is_deleted
    FROM registered_models m WHERE (m.project, m.name) IN (SELECT project, model FROM asked)
    ORDER BY m.id FOR UPDATE SKIP LOCKED
)
SELECT s.last_sequence AS seen_sequence, m.*, a.bytes, a.format, l.number AS lower_number, l.semver AS lower_semver,
    l.features AS lower_features, k.request, k.status, k.answer,
    (SELECT r.number FROM model_versions r
     WHERE r.registered_model_id = s.id AND r.run_id = asked.run_id AND r.digest = asked.digest) AS made_before,
    (SELECT t.number FROM model_versions t
     WHERE t.registered_model_id = s.id AND t.semver = ARRAY[asked.major, asked.minor, asked.patch]) AS taken_by,
    (SELECT h.semver FROM model_versions h
     WHERE h.registered_model_id = s.id ORDER BY h.semver DESC LIMIT 1) AS highest,
    (SELECT p.evidence::text FROM registered_models pm JOIN model_versions p ON p.registered_model_id = pm.id
     WHERE pm.project = asked.project AND pm.name = asked.parent_model AND pm.deleted_at IS NULL
       AND p.number = asked.parent_number) AS parent
FROM asked
LEFT JOIN registered_models s ON s.project = asked.project AND s.name = asked.model
LEFT JOIN locked m ON m.id = s.id
LEFT JOIN artifacts a ON a.project = asked.project AND a.digest = asked.digest
LEFT JOIN idempotency_keys k ON k.actor = asked.actor AND k.key = asked.key
LEFT JOIN LATERAL (
    SELECT v.number, v.semver, (v.evidence -> 'feature_schema')::text AS features FROM model_versions v
    WHERE asked.has_features AND v.registered_model_id = s.id
      AND v.semver < ARRAY[coalesce(asked.major, 1000000000), coalesce(asked.minor, 0), coalesce(asked.patch, 0)]
      AND jsonb_array_length(v.evidence -> 'feature_schema') > 0
    ORDER BY v.semver DESC LIMIT 1
) l ON true
ORDER BY asked.at
"""
SAVE = """
WITH versions AS (
    INSERT INTO model_versions (
        id, registered_model_id, number, semver, stage, digest, artifact_bytes, format, run_id, evidence,
        improvement, improvement_reason, created_at, created_by, updated_at, build_status,
        description, tags, model_card, custom_metadata, project
    )
    SELECT id, model_id, number, ARRAY[major, minor, patch], stage, digest, bytes, format, run_id, evidence::jsonb,
        improvement, improvement_reason, created_at, created_by, created_at, build_status,
        description, tags::jsonb, model_card::jsonb, custom_metadata::jsonb, project
    FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::int[], $6::int[], $7::text[], $8::text[],
        $9::bigint[], $10::text[], $11::text[], $12::text[], $13::double precision[], $14::text[], $15::timestamptz[],
        $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[]
    ) AS given (id, model_id, number, major, minor, patch, stage, digest, bytes, format, run_id, evidence,
        improvement, improvement_reason, created_at, created_by, build_status, description, tags, model_card,
        custom_metadata, project)
), metrics AS (
    INSERT INTO version_metrics (version_id, name, value, number, registered_model_id, project)
    SELECT * FROM unnest($23::uuid[], $24::text[], $25::double precision[], $26::int[], $27::uuid[], $28::text[])
), models AS (
    UPDATE registered_models m SET last_number = given.number, last_sequence = given.sequence, updated_at = $32
    FROM unnest($29::uuid[], $30::int[], $31::bigint[]) AS given (id, number, sequence) WHERE m.id = given.id
), keys AS (
    INSERT INTO idempotency_keys (actor, key, request, status, answer, created_at)
    SELECT actor, key, request, status, answer::jsonb, $32
    FROM unnest($33::text[], $34::text[], $35::bytea[], $36::int[], $37::text[]) AS given
        (actor, key, request, status, answer)
    ORDER BY actor, key
    ON CONFLICT (actor, key) DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM keys
"""
_FEATURES = TypeAdapter(tuple[Feature, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What one registration found. `model` is None when the project has none of this name.

    `kept` is what was answered under its Idempotency-Key before.
    """

    model: LockedModel | None
    grounds: Grounds
    kept: KeptAnswer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerToKeep:
    """The first answer under an Idempotency-Key; `body` is its JSON."""

    claim: Claim
    status: int
    body: str


async def lock_models(connection: Connection, names: Iterable[tuple[str, str]]) -> None:
    """Wait for the locks of registered models, each given by project and name, in the order of their ids."""
    distinct = sorted(set(names))
    await connection.fetch(LOCK_MODELS, [project for project, _ in distinct], [name for _, name in distinct])


async def load(
    connection: Connection, asked: Sequence[tuple[RegisterModelVersion, Claim | None]]
) -> list[Loaded | None]:
    """Lock the models and read what the registrations depend on, in their order.

    None for a registration whose model somebody else holds, or held until a moment ago: `lock_models` first.
    """
    columns = zip(*(_question(command, claim) for command, claim in asked), strict=True)
    rows = await connection.fetch(LOAD, *columns)
    return [await _loaded(connection, row, command) for row, (command, _) in zip(rows, asked, strict=True)]


async def save(
    connection: Connection, versions: Sequence[tuple[VersionSeries, ModelVersion]], answers: Sequence[AnswerToKeep],
    *, now: datetime,
) -> bool:  # fmt: skip
    """Write new versions, count them, and keep the answers; false when one of the keys was taken meanwhile."""
    series = {each.model.id: each for each, _ in versions}
    kept: int = await connection.fetchval(
        SAVE,
        *columns_of([_version_values(version, project=each.model.project) for each, version in versions], width=22),
        *columns_of([value for each, version in versions for value in _metrics(version, each.model.project)], width=6),
        *columns_of([(each.model.id, each.last_number, each.last_sequence) for each in series.values()], width=3),
        now,
        *columns_of(
            [(each.claim.actor, each.claim.key, each.claim.request, each.status, each.body) for each in answers],
            width=5,
        ),
    )
    return kept == len(answers)


def _question(command: RegisterModelVersion, claim: Claim | None) -> tuple[Any, ...]:
    semver, parent = command.semver, command.evidence.parent
    return (
        command.project,
        command.model,
        command.digest,
        command.run_id or command.evidence.run_id,
        semver.major if semver else None,
        semver.minor if semver else None,
        semver.patch if semver else None,
        bool(command.evidence.feature_schema),
        parent.model if parent else None,
        parent.number if parent else None,
        claim.actor if claim else None,
        claim.key if claim else None,
    )


async def _loaded(connection: Connection, row: asyncpg.Record, command: RegisterModelVersion) -> Loaded | None:
    if row["last_sequence"] != row["seen_sequence"]:
        return None
    made_before = highest_before_it = None
    if row["made_before"] is not None:
        run_id = command.run_id or command.evidence.run_id or ""
        made_before = await find_by_run(connection, registered_model_id=row["id"], run_id=run_id, digest=command.digest)
        if command.change_type is not None:
            highest_before_it = await find_highest_before(
                connection, registered_model_id=row["id"], number=row["made_before"]
            )
    parent = Evidence.model_validate_json(row["parent"]) if row["parent"] else None
    named = command.evidence.parent
    if named is not None and parent is None:
        found = await find_version_ever_called(
            connection, project=command.project, model=named.model, number=named.number
        )
        parent = found.evidence if found else None
    kept = KeptAnswer(request=row["request"], status=row["status"], answer=row["answer"]) if row["request"] else None
    grounds = _grounds_of(row, made_before=made_before, highest_before_it=highest_before_it, parent=parent)
    return Loaded(model=_model_of(row), grounds=grounds, kept=kept)


def _model_of(row: asyncpg.Record) -> LockedModel | None:
    if row["id"] is None:
        return None
    return LockedModel(
        id=row["id"],
        project=row["project"],
        name=row["name"],
        primary_metric=row["primary_metric"],
        higher_is_better=row["higher_is_better"],
        last_number=row["last_number"],
        last_sequence=row["last_sequence"],
        revision=row["revision"],
        is_deleted=row["is_deleted"],
    )


def _grounds_of(
    row: asyncpg.Record, *, made_before: ModelVersion | None, highest_before_it: SemanticVersion | None,
    parent: Evidence | None,
) -> Grounds:  # fmt: skip
    lower = None
    if row["lower_number"] is not None:
        lower = LowerVersion(
            number=row["lower_number"],
            semver=SemanticVersion(*row["lower_semver"]),
            features=_features_of(row["lower_features"]),
        )
    return Grounds(
        artifact=UploadedArtifact(size_bytes=row["bytes"], format=row["format"]) if row["format"] else None,
        made_before=made_before,
        highest_before_it=highest_before_it,
        taken_by=row["taken_by"],
        highest=SemanticVersion(*row["highest"]) if row["highest"] else None,
        lower=lower,
        parent=parent,
    )


@lru_cache(maxsize=64)
def _features_of(text: str) -> tuple[Feature, ...]:
    # The versions of a model mostly declare the same features.
    return _FEATURES.validate_json(text)


def _version_values(version: ModelVersion, *, project: str) -> tuple[Any, ...]:
    facts = version.facts
    return (
        version.id,
        version.registered_model_id,
        version.number,
        version.semver.major,
        version.semver.minor,
        version.semver.patch,
        version.stage,
        version.digest,
        version.artifact_bytes,
        version.format,
        version.run_id,
        version.evidence.model_dump_json(),
        version.improvement,
        version.improvement_reason,
        version.created_at,
        version.created_by,
        version.build_status,
        facts.description,
        json.dumps(facts.tags),
        facts.model_card.model_dump_json() if facts.model_card else None,
        json.dumps(facts.custom_metadata, allow_nan=False),
        project,
    )


def _metrics(version: ModelVersion, project: str) -> list[tuple[UUID, str, float, int, UUID, str]]:
    return [
        (version.id, name, value, version.number, version.registered_model_id, project)
        for name, value in version.evidence.metrics.items()
    ]
