"""What registered models and their versions are, and the rules by which a version gets its identity."""

import math
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from modelyard_events.model_changes import BuildStatus, ModelVersionFacts, ReviewStatus
from modelyard_events.values import ChangeType, Evidence, Scope, Stage
from modelyard_runtime.problems import ConflictError, InvalidRequestError

SEMVER_PART_MAX = 999_999_999
_SEMVER = re.compile(r"v?(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_ALIAS = re.compile(r"@?([A-Za-z0-9][A-Za-z0-9._-]{0,99})")
_LIKE_A_VERSION = re.compile(r"latest|v?[0-9].*", re.IGNORECASE)
"""Without an `@`, this is a number, a semantic version or `latest` that is misspelt, and no alias."""


class SemverTakenError(ConflictError):
    """Another version of the registered model has this semantic version."""

    code = "semver-taken"
    when = "Another run or artifact has this semantic version."
    fix = "Choose another `semver`, or give `change_type` instead."


class SemverInvalidError(InvalidRequestError):
    """This is no semantic version."""

    code = "semver-invalid"
    when = "`semver` is not a semantic version."
    fix = "Use MAJOR.MINOR.PATCH with digits 0 to 9, with or without a `v`, as in v1.0.0."


class SemverExhaustedError(ConflictError):
    """The semantic version cannot rise any further."""

    code = "semver-exhausted"
    when = "The next semantic version would be larger than the largest."
    fix = "Give `semver` explicitly."


class VersionReferenceInvalidError(InvalidRequestError):
    """This is no way to name a version."""

    code = "version-reference-invalid"
    when = "The path or the query names a version in a form that is not read."
    fix = "Use a number (3), a semantic version (1.2.0 or v1.2.0), `latest`, or an alias (@champion)."


@dataclass(frozen=True, slots=True, order=True)
class SemanticVersion:
    """MAJOR.MINOR.PATCH, ordered as semantic versioning orders it."""

    major: int
    minor: int
    patch: int

    @classmethod
    def find(cls, text: str) -> Self | None:
        """The semantic version that `text` spells, with or without a leading `v`; None when it spells none."""
        match = _SEMVER.fullmatch(text)
        return cls(*(int(part) for part in match.groups())) if match else None

    @classmethod
    def of(cls, text: str) -> Self:
        """The semantic version that `text` spells. Raises SemverInvalidError when it spells none."""
        found = cls.find(text)
        if found is None:
            raise SemverInvalidError(f"{text[:100]!r} is no semantic version.")
        return found

    def after(self, change_type: ChangeType) -> "SemanticVersion":
        """The next one by the size of the change."""
        match change_type:
            case ChangeType.MAJOR:
                return SemanticVersion(self.major + 1, 0, 0)
            case ChangeType.MINOR:
                return SemanticVersion(self.major, self.minor + 1, 0)
            case ChangeType.PATCH:
                return SemanticVersion(self.major, self.minor, self.patch + 1)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


FIRST_SEMVER = SemanticVersion(1, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """The named thing that has versions. `aliases` maps each alias to the number that it points at."""

    id: UUID
    project: str
    name: str
    model_type: str
    scope: Scope
    industry: str | None
    tenant: str | None
    description: str | None
    owner: str | None
    primary_metric: str | None
    higher_is_better: bool
    tags: dict[str, str]
    last_number: int
    revision: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    aliases: dict[str, int]
    team: str | None = None
    deleted_at: datetime | None = None

    @property
    def subject(self) -> str:
        """The model's path under its project, as audit entries have it."""
        return f"registered-models/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One immutable artifact under a registered model, and where it stands.

    `evidence` is what was said at its registration, for good; `facts` are what people say about it now.
    """

    id: UUID
    registered_model_id: UUID
    model: str
    number: int
    semver: SemanticVersion
    stage: Stage
    quarantined: bool
    digest: str
    artifact_bytes: int
    format: str
    run_id: str | None
    evidence: Evidence
    improvement: float | None
    improvement_reason: str | None
    revision: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    aliases: tuple[str, ...]
    build_status: BuildStatus = "ready"
    review_status: ReviewStatus = "pending_review"
    facts: ModelVersionFacts = field(default_factory=ModelVersionFacts)

    @property
    def subject(self) -> str:
        """The version's path under its project, as audit entries have it."""
        return f"registered-models/{self.model}/versions/{self.number}"


class Latest(StrEnum):
    """The highest number there is."""

    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class AliasReference:
    """The version that an alias points at."""

    alias: str

    def __str__(self) -> str:
        return f"@{self.alias}"


Reference = int | SemanticVersion | Latest | AliasReference
"""How a version is named within its registered model."""


def parse_reference(text: str) -> Reference:
    """What `3`, `1.2.0`, `v1.2.0`, `latest`, `@champion` or `champion` names. Raises VersionReferenceInvalidError."""
    if text == Latest.LATEST:
        return Latest.LATEST
    alias = _ALIAS.fullmatch(text)
    if alias and not _LIKE_A_VERSION.fullmatch(text):
        return AliasReference(alias[1])
    if _NUMBER.fullmatch(text):
        return int(text)
    semver = SemanticVersion.find(text)
    if semver is None:
        raise VersionReferenceInvalidError(f"{text[:100]!r} names no version.")
    return semver


def decide_semver(
    *, explicit: SemanticVersion | None, change_type: ChangeType | None, highest: SemanticVersion | None
) -> SemanticVersion:
    """The semantic version of the next version, given the highest that the model has.

    Raises SemverExhaustedError when the step leads beyond what a part can hold.
    """
    if explicit is not None:
        return explicit
    if highest is None:
        return FIRST_SEMVER
    semver = highest.after(change_type or ChangeType.MINOR)
    if max(semver.major, semver.minor, semver.patch) > SEMVER_PART_MAX:
        raise SemverExhaustedError(f"There is no {change_type or ChangeType.MINOR} step after {highest}.")
    return semver


@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """By how much a version is better than its parent (0.05 is 5 %), or the reason why that cannot be told."""

    value: float | None
    reason: str | None


def decide_improvement(
    child: Evidence,
    parent: Evidence | None,
    *,
    primary_metric: str | None,
    higher_is_better: bool,
) -> Improvement:
    """How much better `child` is than `parent` by the primary metric, relative to the parent's value.

    Two versions are comparable only when both carry the metric, measured on the same validation data.
    """
    reason = _why_incomparable(child, parent, primary_metric=primary_metric)
    if reason is not None or parent is None or primary_metric is None:
        return Improvement(value=None, reason=reason)
    gained = child.metrics[primary_metric] - parent.metrics[primary_metric]
    relative = gained / abs(parent.metrics[primary_metric])
    if not math.isfinite(relative):
        return Improvement(value=None, reason=f"The values of {primary_metric!r} are too far apart to compare.")
    return Improvement(value=relative if higher_is_better else -relative, reason=None)


def _why_incomparable(child: Evidence, parent: Evidence | None, *, primary_metric: str | None) -> str | None:
    if parent is None:
        return "The evidence names no parent."
    if primary_metric is None:
        return "The registered model has no primary_metric."
    for whose, evidence in (("version", child), ("parent", parent)):
        if primary_metric not in evidence.metrics:
            return f"The {whose}'s evidence has no metric {primary_metric!r}."
        if evidence.validation_data_version is None:
            return f"The {whose}'s evidence names no validation_data_version."
    if child.validation_data_version != parent.validation_data_version:
        return (
            f"Measured on other validation data: {child.validation_data_version!r} here, "
            f"{parent.validation_data_version!r} for the parent."
        )
    if parent.metrics[primary_metric] == 0:
        return f"The parent's {primary_metric!r} is 0: nothing is relative to that."
    return None


def describe_reference(reference: Reference) -> str:
    """A reference as people write it."""
    return reference.value if isinstance(reference, Latest) else str(reference)
