"""The query parameters of lists: filters, sort and page, as callers write them."""

import math
from typing import Annotated, Any

from modelyard_events.model_changes import BuildStatus, ReviewStatus
from modelyard_events.values import Moment, Scope, Slug, Stage
from modelyard_runtime.problems import InvalidRequestError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from modelyard_registry.api.paging import PAGE_SIZE, PAGE_SIZE_MAX, PageRequest
from modelyard_registry.models.documents import SemverText, ShortText
from modelyard_registry.models.domain import RegisteredModel, SemanticVersion
from modelyard_registry.search.store import ModelFilter, VersionFilter

FILTERS_MAX = 20

Pair = Annotated[str, StringConstraints(min_length=1, max_length=5_300)]
Pairs = Annotated[list[Pair], Field(max_length=FILTERS_MAX)]


class FilterInvalidError(InvalidRequestError):
    """The filter is not written as this list reads it."""

    code = "filter-invalid"
    when = "A filter of the list is not of the form that the parameter takes."
    fix = "Write it as `fix` shows."


class ListQuery(BaseModel):
    """What every list takes. A parameter that is not known is refused: a filter must not be overlooked."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    page_size: Annotated[int, Field(ge=1, le=PAGE_SIZE_MAX, description="How many items a page has at most.")] = (
        PAGE_SIZE
    )
    page_token: Annotated[
        str | None, Field(max_length=1_000, description="`next_page_token` of the page before this one.")
    ] = None
    tag: Annotated[Pairs, Field(description="Only with this tag, as `key:value`; several must all be there.")] = []
    owner: ShortText | None = None
    team: ShortText | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None

    @property
    def paging(self) -> PageRequest:
        """The page that is wanted."""
        return PageRequest(size=self.page_size, token=self.page_token)

    def tags(self) -> dict[str, str]:
        """The tags that are wanted. Raises FilterInvalidError."""
        return dict(_split(pair, parameter="tag", of="key:value") for pair in self.tag)


class ModelQuery(ListQuery):
    """Which registered models, and in which order."""

    model_type: Slug | None = None
    scope: Scope | None = None
    industry: Slug | None = None
    tenant: Slug | None = None
    name_contains: ShortText | None = None
    deleted: Annotated[bool, Field(description="The models that were deleted, instead of those that are there.")] = (
        False
    )
    sort: Annotated[
        str,
        Field(max_length=300, description="`name`, `created_at` or `updated_at`, after `-` for the other direction."),
    ] = "name"

    def wanted(self, *, project: str) -> ModelFilter:
        """The filter. Raises FilterInvalidError."""
        given = self.model_dump(exclude={"page_size", "page_token", "sort", "tag"})
        return ModelFilter(project=project, tags=self.tags(), **given)


class VersionQuery(ListQuery):
    """Which versions, and in which order."""

    stage: Stage | None = None
    build_status: BuildStatus | None = None
    review_status: ReviewStatus | None = None
    run_id: ShortText | None = None
    algorithm: ShortText | None = None
    framework: ShortText | None = None
    semver: SemverText | None = None
    min_metric: Annotated[Pairs, Field(description="Only where a metric is at least this, as `auc:0.9`.")] = []
    max_metric: Annotated[Pairs, Field(description="Only where a metric is at most this, as `rmse:4.5`.")] = []
    sort: Annotated[
        str,
        Field(
            max_length=300,
            description="`number`, `semver`, `created_at`, `updated_at` or `metric:<name>`, after `-` when descending."
            " By a metric, only versions that have it are listed.",
        ),
    ] = "-number"

    def wanted(self, *, model: RegisteredModel) -> VersionFilter:
        """The filter, for the versions of one registered model. Raises FilterInvalidError."""
        return VersionFilter(project=model.project, registered_model_id=model.id, **self._given())

    def _given(self) -> dict[str, Any]:
        read_otherwise = {"page_size", "page_token", "sort", "tag", "min_metric", "max_metric", "semver"}
        return {
            **self.model_dump(exclude=read_otherwise),
            "tags": self.tags(),
            "semver": SemanticVersion.of(self.semver) if self.semver is not None else None,
            "metrics_min": _bounds(self.min_metric, parameter="min_metric"),
            "metrics_max": _bounds(self.max_metric, parameter="max_metric"),
        }


class ProjectVersionQuery(VersionQuery):
    """Which versions of a project, of whichever model, and in which order."""

    model_type: Slug | None = None
    scope: Scope | None = None
    industry: Slug | None = None
    tenant: Slug | None = None
    sort: Annotated[
        str,
        Field(max_length=300, description="`created_at`, `updated_at` or `metric:<name>`, after `-` when descending."),
    ] = "-created_at"

    def wanted_of_project(self, *, project: str) -> VersionFilter:
        """The filter, for all versions of the project. Raises FilterInvalidError."""
        return VersionFilter(project=project, **self._given())


def _split(pair: str, *, parameter: str, of: str) -> tuple[str, str]:
    name, separator, value = pair.rpartition(":") if parameter != "tag" else pair.partition(":")
    if not (name and separator):
        raise FilterInvalidError(f"{parameter} is {pair[:100]!r}.", fix=f"Write it as `{of}`.")
    return name, value


def _bounds(pairs: list[str], *, parameter: str) -> dict[str, float]:
    bounds = {}
    for pair in pairs:
        name, text = _split(pair, parameter=parameter, of="metric:number")
        try:
            bound = float(text)
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise FilterInvalidError(f"{parameter} is {pair[:100]!r}.", fix="Write it as `metric:number`.")
        bounds[name] = bound
    return bounds
