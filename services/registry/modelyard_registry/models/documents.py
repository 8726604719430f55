"""Registered models and versions as callers send and see them."""

from datetime import datetime
from typing import Annotated, Self

from modelyard_events.free_json import FreeJson
from modelyard_events.limits import NAME_CHARS_MAX, TEXT_CHARS_MAX
from modelyard_events.model_changes import BuildStatus, ReviewStatus
from modelyard_events.reported import ReportedEvidence
from modelyard_events.spelling import Spelled
from modelyard_events.standard_metrics import is_higher_better
from modelyard_events.values import ChangeType, Digest, Evidence, ModelCard, Scope, Slug, Stage
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from modelyard_registry.api import Request
from modelyard_registry.api.paging import Page
from modelyard_registry.models.domain import ModelVersion, RegisteredModel

Text = Annotated[str, StringConstraints(max_length=TEXT_CHARS_MAX)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=NAME_CHARS_MAX)]
SemverText = Annotated[
    str,
    Spelled(
        r"^v?(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})$",
        words="is no semantic version: write MAJOR.MINOR.PATCH with digits 0 to 9, such as 1.4.0 or v1.4.0",
    ),
]


class NewRegisteredModel(Request):
    """What a registered model is to be.

    `higher_is_better` is known for a standard metric (such as rmse or auc); for any other it is true unless given.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "loan-risk-debt-consolidation",
                    "model_type": "risk_scoring",
                    "scope": "industry",
                    "industry": "debt_consolidation",
                    "primary_metric": "rmse",
                    "higher_is_better": False,
                    "owner": "risk-team",
                    "tags": {"team": "risk"},
                }
            ]
        }
    )

    name: Slug
    model_type: Slug
    scope: Scope = Scope.GLOBAL
    industry: Slug | None = None
    tenant: Slug | None = None
    description: Text | None = None
    owner: ShortText | None = None
    team: ShortText | None = None
    primary_metric: ShortText | None = None
    higher_is_better: bool | None = None
    tags: Annotated[dict[ShortText, Text], Field(max_length=100)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _refuse_scope_without_its_name(self) -> Self:
        for scope, name in ((Scope.INDUSTRY, self.industry), (Scope.TENANT, self.tenant)):
            if (self.scope is scope) != (name is not None):
                raise ValueError(f"`{scope}` is given exactly when `scope` is `{scope}`")
        return self

    @property
    def direction(self) -> bool:
        """Whether a higher value of the primary metric is better."""
        known = is_higher_better(self.primary_metric)
        given = self.higher_is_better
        return given if given is not None else known is not False


class RegisteredModelDocument(BaseModel):
    """A registered model. `aliases` maps each alias to the number that it points at."""

    registered_model_id: str
    project: str
    name: str
    model_type: str
    scope: Scope
    industry: str | None
    tenant: str | None
    description: str | None
    owner: str | None
    team: str | None
    primary_metric: str | None
    higher_is_better: bool
    tags: dict[str, str]
    champion: int | None
    aliases: dict[str, int]
    version_count: int
    revision: int
    created_at: datetime
    created_by: str
    updated_at: datetime
    deleted_at: datetime | None

    @classmethod
    def of(cls, model: RegisteredModel) -> Self:
        """The document about `model`."""
        return cls(
            registered_model_id=str(model.id),
            project=model.project,
            name=model.name,
            model_type=model.model_type,
            scope=model.scope,
            industry=model.industry,
            tenant=model.tenant,
            description=model.description,
            owner=model.owner,
            team=model.team,
            primary_metric=model.primary_metric,
            higher_is_better=model.higher_is_better,
            tags=model.tags,
            champion=model.aliases.get("champion"),
            aliases=model.aliases,
            version_count=model.last_number,
            revision=model.revision,
            created_at=model.created_at,
            created_by=model.created_by,
            updated_at=model.updated_at,
            deleted_at=model.deleted_at,
        )


class RegisteredModelPage(Page[RegisteredModelDocument]):
    """Some registered models, by name."""


class NewModelVersion(Request):
    """Which artifact becomes the next version, and the evidence for it.

    `semver` is explicit, or `change_type` says how far to step from the highest; neither means `minor`, or
    `major` when the features demand it. Against the next lower semantic version that declares its features, a
    removed or retyped one is a major change and an added one a minor change: a smaller step is refused (409),
    with the `difference`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "digest": "sha256:" + "9f" * 32,
                    "change_type": "minor",
                    "run_id": "run-2026-11-21-a",
                    "evidence": {
                        "algorithm": "gradient boosting",
                        "framework": "scikit-learn",
                        "metrics": {"rmse": 4.21},
                        "hyperparameters": {"n_estimators": 120, "max_depth": 3},
                        "training_examples": 5144,
                        "validation_data_version": "loans-2018-holdout",
                        "feature_schema": [{"name": "annual_income", "datatype": "FP64"}],
                        "feature_importance": {"annual_income": 1.0},
                        "target_schema": [{"name": "expected_loss", "datatype": "FP64"}],
                        "experiment_name": "debt consolidation, autumn",
                        "dependencies": {"scikit-learn": "1.9.1"},
                        "parent": {"model": "loan-risk", "number": 1},
                        "compliance_status": "approved",
                        "risk_level": "high",
                        "model_card": {
                            "limitations": ["Only trained on loans of 2018."],
                            "preprocessing": "standard scaler",
                            "ethical_considerations": {"bias_audit_done": True, "protected_groups": ["age"]},
                        },
                        "custom_metadata": {"ticket": "RISK-17"},
                    },
                }
            ]
        }
    )

    digest: Digest
    semver: SemverText | None = None
    change_type: ChangeType | None = None
    run_id: ShortText | None = None
    evidence: ReportedEvidence = ReportedEvidence()
    build_status: BuildStatus = "ready"

    @model_validator(mode="after")
    def _refuse_two_ways_to_choose(self) -> Self:
        if self.semver is not None and self.change_type is not None:
            raise ValueError("give `semver` or `change_type`, not both")
        return self


class ModelVersionDocument(BaseModel):
    """A model version. `improvement` is relative to the parent (0.05 is 5 % better), or null for a reason.

    `evidence` is what was said at its registration, for good. `description`, `tags`, `model_card` and
    `custom_metadata` begin as the evidence has them and are what people say now.
    """

    version_id: str
    project: str
    model: str
    number: int
    semver: str
    stage: Stage
    build_status: BuildStatus
    review_status: ReviewStatus
    quarantined: bool
    aliases: list[str]
    description: str | None
    tags: dict[str, str]
    model_card: ModelCard | None
    custom_metadata: FreeJson
    digest: str
    artifact_uri: str
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

    @classmethod
    def of(cls, version: ModelVersion, *, project: str) -> Self:
        """The document about `version`."""
        return cls(
            version_id=str(version.id),
            project=project,
            model=version.model,
            number=version.number,
            semver=str(version.semver),
            stage=version.stage,
            build_status=version.build_status,
            review_status=version.review_status,
            description=version.facts.description,
            tags=version.facts.tags,
            model_card=version.facts.model_card,
            custom_metadata=version.facts.custom_metadata,
            quarantined=version.quarantined,
            aliases=list(version.aliases),
            digest=version.digest,
            artifact_uri=f"/api/v1/projects/{project}/artifacts/{version.digest}",
            artifact_bytes=version.artifact_bytes,
            format=version.format,
            run_id=version.run_id,
            evidence=version.evidence,
            improvement=version.improvement,
            improvement_reason=version.improvement_reason,
            revision=version.revision,
            created_at=version.created_at,
            created_by=version.created_by,
            updated_at=version.updated_at,
        )


class ModelVersionPage(Page[ModelVersionDocument]):
    """Some versions, from the newest to the oldest."""
