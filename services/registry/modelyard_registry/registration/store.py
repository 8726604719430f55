"""What registrations read and write in PostgreSQL: one statement before they are decided, and one after.

Both take any number of registrations, of any models. Locks are taken in the order of the models' ids.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import asyncpg
from modelyard_events.values import Evidence, Feature
from pydantic import TypeAdapter

from modelyard_registry.api.idempotency import Claim, KeptAnswer
from modelyard_registry.models.domain import ModelVersion, SemanticVersion
from modelyard_registry.models.locks import lock_free_models
from modelyard_registry.models.store import find_by_run, find_highest_before, find_version_ever_called
from modelyard_registry.registration.command import RegisterModelVersion
from modelyard_registry.registration.domain import Grounds, LockedModel, UploadedArtifact, VersionSeries
from modelyard_registry.registration.feature_differences import LowerVersion
from modelyard_registry.transactions.database import Connection
from modelyard_registry.transactions.statements import Columns, Statement


class Question(NamedTuple):
    """One registration: what it asks the database. `claim` is that of its Idempotency-Key."""

    command: RegisterModelVersion
    claim: Claim | None


class NewVersion(NamedTuple):
    """A version to be written, and the series of the registered model that it continues."""

    series: VersionSeries
    version: ModelVersion


class _Metric(NamedTuple):
    new: NewVersion
    name: str
    value: float


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


QUESTIONS = Columns[Question](
    project=("text", lambda asked: asked.command.project),
    model=("text", lambda asked: asked.command.model),
    digest=("text", lambda asked: asked.command.digest),
    run_id=("text", lambda asked: asked.command.run_id or asked.command.evidence.run_id),
    major=("integer", lambda asked: asked.command.semver.major if asked.command.semver else None),
    minor=("integer", lambda asked: asked.command.semver.minor if asked.command.semver else None),
    patch=("integer", lambda asked: asked.command.semver.patch if asked.command.semver else None),
    has_features=("boolean", lambda asked: bool(asked.command.evidence.feature_schema)),
    parent_model=("text", lambda asked: asked.command.evidence.parent.model if asked.command.evidence.parent else None),
    parent_number=(
        "integer",
        lambda asked: asked.command.evidence.parent.number if asked.command.evidence.parent else None,
    ),
    actor=("text", lambda asked: asked.claim.actor if asked.claim else None),
    key=("text", lambda asked: asked.claim.key if asked.claim else None),
)
VERSIONS = Columns[NewVersion](
    id=("uuid", lambda new: new.version.id),
    registered_model_id=("uuid", lambda new: new.version.registered_model_id),
    project=("text", lambda new: new.series.model.project),
    number=("integer", lambda new: new.version.number),
    semver=("integer[]", lambda new: _array_text(new.version.semver)),
    stage=("text", lambda new: new.version.stage),
    digest=("text", lambda new: new.version.digest),
    artifact_bytes=("bigint", lambda new: new.version.artifact_bytes),
    format=("text", lambda new: new.version.format),
    run_id=("text", lambda new: new.version.run_id),
    evidence=("jsonb", lambda new: new.version.evidence.model_dump_json()),
    improvement=("double precision", lambda new: new.version.improvement),
    improvement_reason=("text", lambda new: new.version.improvement_reason),
    created_at=("timestamptz", lambda new: new.version.created_at),
    created_by=("text", lambda new: new.version.created_by),
    updated_at=("timestamptz", lambda new: new.version.updated_at),
    build_status=("text", lambda new: new.version.build_status),
    description=("text", lambda new: new.version.facts.description),
    tags=("jsonb", lambda new: json.dumps(new.version.facts.tags)),
    model_card=(
        "jsonb",
        lambda new: new.version.facts.model_card.model_dump_json() if new.version.facts.model_card else None,
    ),
    custom_metadata=("jsonb", lambda new: json.dumps(new.version.facts.custom_metadata, allow_nan=False)),
)
METRICS = Columns[_Metric](
    version_id=("uuid", lambda metric: metric.new.version.id),
    registered_model_id=("uuid", lambda metric: metric.new.version.registered_model_id),
    project=("text", lambda metric: metric.new.series.model.project),
    number=("integer", lambda metric: metric.new.version.number),
    name=("text", lambda metric: metric.name),
    value=("double precision", lambda metric: metric.value),
)
SERIES = Columns[VersionSeries](
    id=("uuid", lambda series: series.model.id),
    last_number=("integer", lambda series: series.last_number),
    last_sequence=("bigint", lambda series: series.last_sequence),
)
ANSWERS = Columns[AnswerToKeep](
    actor=("text", lambda answer: answer.claim.actor),
    key=("text", lambda answer: answer.claim.key),
    request=("bytea", lambda answer: answer.claim.request),
    status=("integer", lambda answer: answer.status),
    answer=("jsonb", lambda answer: answer.body),
)
_LOCKED_COLUMNS = """m.id, m.project, m.name, m.primary_metric, m.higher_is_better, m.last_number, m.last_sequence,
        m.revision, m.deleted_at IS NOT NULL AS is_deleted"""
# The models are locked by the very statement that reads around them: whatever it sees is as old as its beginning,
# and the locked rows alone are as new as their locks. When the sequences differ, the model changed in between.
LOAD = Statement(
    f"""
WITH asked AS MATERIALIZED (
    SELECT * FROM {{questions}}
), locked AS MATERIALIZED (
    {lock_free_models(_LOCKED_COLUMNS, names="SELECT project, model FROM asked")}
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
ORDER BY asked.nth
""",
    questions=QUESTIONS,
)
SAVE = Statement(
    f"""
WITH versions AS (
    INSERT INTO model_versions ({VERSIONS.names}) SELECT {VERSIONS.values} FROM {{versions}}
), metrics AS (
    INSERT INTO version_metrics ({METRICS.names}) SELECT {METRICS.values} FROM {{metrics}}
), models AS (
    UPDATE registered_models m
    SET last_number = series.last_number, last_sequence = series.last_sequence, updated_at = {{now}}
    FROM {{series}} WHERE m.id = series.id
), keys AS (
    INSERT INTO idempotency_keys ({ANSWERS.names}, created_at) SELECT {ANSWERS.values}, {{now}} FROM {{answers}}
    ORDER BY actor, key
    ON CONFLICT (actor, key) DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM keys
""",
    versions=VERSIONS,
    metrics=METRICS,
    series=SERIES,
    answers=ANSWERS,
    now="timestamptz",
)
_FEATURES = TypeAdapter(tuple[Feature, ...])


async def load(connection: Connection, questions: Sequence[Question]) -> list[Loaded | None]:
    """Lock the models and read what the registrations depend on, in their order.

    None for a registration whose model another transaction holds, or held until a moment ago: `lock_models` first.
    """
    rows = await connection.fetch(*LOAD.bind(questions=questions))
    return [await _loaded(connection, row, asked.command) for row, asked in zip(rows, questions, strict=True)]


async def save(
    connection: Connection, versions: Sequence[NewVersion], answers: Sequence[AnswerToKeep], *, now: datetime
) -> bool:
    """Write new versions, count them, and keep the answers; false when one of the keys was taken meanwhile."""
    series = {each.series.model.id: each.series for each in versions}
    metrics = [_Metric(new, *metric) for new in versions for metric in new.version.evidence.metrics.items()]
    kept: int = await connection.fetchval(
        *SAVE.bind(versions=versions, metrics=metrics, series=series.values(), answers=answers, now=now)
    )
    return kept == len(answers)


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


def _array_text(semver: SemanticVersion) -> str:
    return f"{{{semver.major},{semver.minor},{semver.patch}}}"
