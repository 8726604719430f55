"""The statements behind lists of models and of versions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from modelyard_events.values import Scope, Stage

from modelyard_registry.models.domain import ModelVersion, RegisteredModel, SemanticVersion
from modelyard_registry.models.store import MODEL_COLUMNS, VERSION_COLUMNS, model_of, version_of
from modelyard_registry.search.sorting import (
    METRIC_PREFIX,
    Conditions,
    Key,
    Sort,
    a_moment,
    a_number,
    a_semver,
    a_text,
    a_value,
    an_id,
    order_by,
)
from modelyard_registry.transactions.database import Connection

MODEL_SORTS = ("name", "created_at", "updated_at")
VERSION_SORTS = ("number", "semver", "created_at", "updated_at", METRIC_PREFIX)
PROJECT_VERSION_SORTS = ("created_at", "updated_at", METRIC_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFilter:
    """Which registered models of a project are wanted; None stands for any.

    `seen_stage` leaves those out that have no version there, because the caller may not know of them.
    """

    project: str
    deleted: bool = False
    model_type: str | None = None
    scope: Scope | None = None
    industry: str | None = None
    tenant: str | None = None
    owner: str | None = None
    team: str | None = None
    name_contains: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    created_after: datetime | None = None
    created_before: datetime | None = None
    seen_stage: Stage | None = None

    def add_to(self, conditions: Conditions) -> None:
        """Ask for these models, as `m`."""
        conditions.add_given(
            "EXISTS (SELECT 1 FROM model_versions s WHERE s.registered_model_id = m.id AND s.stage = {})",
            self.seen_stage,
        )
        conditions.add("m.project = {}", self.project)
        conditions.add("m.deleted_at IS NOT NULL" if self.deleted else "m.deleted_at IS NULL")
        for name in ("model_type", "scope", "industry", "tenant", "owner", "team"):
            conditions.add_given(f"m.{name} = {{}}", getattr(self, name))
        conditions.add_given("strpos(lower(m.name), lower({})) > 0", self.name_contains)
        conditions.add_given("m.tags @> {}", self.tags or None)
        conditions.add_given("m.created_at > {}", self.created_after)
        conditions.add_given("m.created_at < {}", self.created_before)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFilter:
    """Which versions are wanted: of one registered model, or of a whole project; None stands for any.

    `metrics_min` and `metrics_max` bound metrics by name, the bounds included. `seen_stage` is the only one in
    which the caller may know of versions.
    """

    project: str
    registered_model_id: UUID | None = None
    model_type: str | None = None
    scope: Scope | None = None
    industry: str | None = None
    tenant: str | None = None
    stage: Stage | None = None
    build_status: str | None = None
    review_status: str | None = None
    semver: SemanticVersion | None = None
    run_id: str | None = None
    owner: str | None = None
    team: str | None = None
    algorithm: str | None = None
    framework: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    created_after: datetime | None = None
    created_before: datetime | None = None
    metrics_min: dict[str, float] = field(default_factory=dict)
    metrics_max: dict[str, float] = field(default_factory=dict)
    seen_stage: Stage | None = None

    def add_to(self, conditions: Conditions) -> None:
        """Ask for these versions, as `v` of models `m`."""
        if self.registered_model_id is None:
            conditions.add("v.project = {}", self.project)
            conditions.add("m.deleted_at IS NULL")
        else:
            conditions.add("v.registered_model_id = {}", self.registered_model_id)
        for name in ("model_type", "scope", "industry", "tenant"):
            conditions.add_given(f"m.{name} = {{}}", getattr(self, name))
        conditions.add_given("v.stage = {}", self.seen_stage)
        for name in ("stage", "build_status", "review_status", "run_id"):
            conditions.add_given(f"v.{name} = {{}}", getattr(self, name))
        for name in ("owner", "team", "algorithm", "framework"):
            conditions.add_given(f"v.evidence ->> '{name}' = {{}}", getattr(self, name))
        if self.semver is not None:
            conditions.add("v.semver = {}", [self.semver.major, self.semver.minor, self.semver.patch])
        conditions.add_given("v.tags @> {}", self.tags or None)
        conditions.add_given("v.created_at > {}", self.created_after)
        conditions.add_given("v.created_at < {}", self.created_before)
        for bounds, operator in ((self.metrics_min, ">="), (self.metrics_max, "<=")):
            for metric, bound in bounds.items():
                conditions.add(
                    "EXISTS (SELECT 1 FROM version_metrics f WHERE f.version_id = v.id"
                    f" AND f.name = {{}} AND f.value {operator} {{}})",
                    metric,
                    bound,
                )


def model_keys(sort: Sort) -> list[Key]:
    """What a position in a list of models is made of."""
    return [a_text("m.name")] if sort.by == "name" else [a_moment(f"m.{sort.by}"), an_id("m.id")]


def version_keys(sort: Sort, *, of_project: bool) -> list[Key]:
    """What a position in a list of a model's versions is made of, or of a project's."""
    if sort.metric is not None:
        return [a_value("x.value"), an_id("x.version_id") if of_project else a_number("x.number")]
    match sort.by:
        case "number":
            return [a_number("v.number")]
        case "semver":
            return [a_semver("v.semver")]
        case _:
            return [a_moment(f"v.{sort.by}"), an_id("v.id") if of_project else a_number("v.number")]


def models_statement(
    wanted: ModelFilter, sort: Sort, *, after: Sequence[Any] | None, limit: int
) -> tuple[str, list[Any]]:
    """The statement for one page of models, and its arguments."""
    conditions, keys = Conditions(), model_keys(sort)
    wanted.add_to(conditions)
    conditions.go_on_after(after, keys, sort)
    statement = f"SELECT {MODEL_COLUMNS} FROM registered_models m WHERE {conditions} {order_by(keys, sort)}"
    return f"{statement} LIMIT {conditions.argument(limit)}", conditions.arguments


def versions_statement(
    wanted: VersionFilter, sort: Sort, *, after: Sequence[Any] | None, limit: int
) -> tuple[str, list[Any]]:
    """The statement for one page of versions, and its arguments."""
    of_project = wanted.registered_model_id is None
    conditions, keys = Conditions(), version_keys(sort, of_project=of_project)
    wanted.add_to(conditions)
    source = "model_versions v JOIN registered_models m ON m.id = v.registered_model_id"
    if sort.metric is not None:
        source += " JOIN version_metrics x ON x.version_id = v.id"
        owner = "project" if of_project else "registered_model_id"
        conditions.add(f"x.{owner} = {{}}", wanted.registered_model_id or wanted.project)
        conditions.add("x.name = {}", sort.metric)
    conditions.go_on_after(after, keys, sort)
    statement = f"SELECT {VERSION_COLUMNS} FROM {source} WHERE {conditions} {order_by(keys, sort)}"
    return f"{statement} LIMIT {conditions.argument(limit)}", conditions.arguments


async def list_models(
    connection: Connection, wanted: ModelFilter, sort: Sort, *, after: Sequence[Any] | None, limit: int
) -> Sequence[RegisteredModel]:
    """One page of models."""
    statement, arguments = models_statement(wanted, sort, after=after, limit=limit)
    return [model_of(row) for row in await connection.fetch(statement, *arguments)]


async def list_versions(
    connection: Connection, wanted: VersionFilter, sort: Sort, *, after: Sequence[Any] | None, limit: int
) -> Sequence[ModelVersion]:
    """One page of versions."""
    statement, arguments = versions_statement(wanted, sort, after=after, limit=limit)
    return [version_of(row) for row in await connection.fetch(statement, *arguments)]
