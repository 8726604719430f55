"""Models and versions as the API by ids writes them."""

from datetime import datetime
from typing import Annotated, Any, Self

from modelyard_events.free_json import FreeJson
from modelyard_events.values import Slug, Stage
from modelyard_runtime.access.permissions import Role
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from modelyard_registry.api import Request
from modelyard_registry.api.paging import Page
from modelyard_registry.approvals.domain import TransitionRequest
from modelyard_registry.compatibility.store import FoundModel, FoundVersion, Summary
from modelyard_registry.compatibility.vocabulary import WORD_OF, StageWord, spell_semver, tags_to
from modelyard_registry.models.documents import ShortText, Text

Tags = Annotated[list[ShortText], Field(max_length=100, description="`urgent`, or with a value `team=risk`.")]
Metrics = Annotated[dict[ShortText, float], Field(max_length=200)]
VersionWord = Annotated[str, Field(min_length=1, max_length=50, examples=["v1.0.0"])]


ARTIFACT_ELSEWHERE = "artifact_version_id"
"""Under which name the custom metadata remembers what another system calls the artifact."""


def _without_our_own(metadata: dict[str, Any]) -> dict[str, Any]:
    if ARTIFACT_ELSEWHERE in metadata:
        raise ValueError(f"must not hold {ARTIFACT_ELSEWHERE}: give it as a field of the version")
    return metadata


Metadata = Annotated[FreeJson, AfterValidator(_without_our_own)]


class NewModel(Request):
    """What a registered model is to be. Its model type, which routes are about, is its name when absent."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "credit-risk-model",
                    "project_id": "default",
                    "description": "Credit risk prediction model",
                }
            ]
        }
    )

    name: Slug
    project_id: Slug | None = None
    description: Text | None = None
    tags: Tags = Field(default_factory=list)
    model_type: Slug | None = None


class NewVersion(Request):
    """What a version is to be. Without an artifact it is kept, and cannot be served.

    `artifact_version_id` is the digest (`sha256:…`) of an artifact that was uploaded here; any other value is
    only remembered, as another system's name for it.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"version": "v1.0.0", "run_id": "run-1", "metrics": {"accuracy": 0.92, "auc": 0.88}}]
        }
    )

    version: VersionWord | None = None
    project_id: Slug | None = None
    description: Text | None = None
    run_id: ShortText | None = None
    artifact_version_id: ShortText | None = None
    metrics: Metrics = Field(default_factory=dict)
    tags: Tags = Field(default_factory=list)
    metadata: Metadata = Field(default_factory=dict)


class ModelChange(Request):
    """What is to be different about a model; null removes, and what is left out stays. Tags are given all anew."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"description": "Expected loss of a loan."}]})

    description: Text | None = None
    tags: Tags | None = None
    project_id: Slug | None = None


class VersionChange(Request):
    """What is to be different about a version; null removes, and what is left out stays.

    Tags are given all anew; metadata is merged into what is there. What was measured cannot change.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"tags": ["reviewed"], "metadata": {"ticket": 7}}]})

    description: Text | None = None
    tags: Tags | None = None
    metadata: Metadata | None = None
    project_id: Slug | None = None


class NewStage(Request):
    """Where the version is to go, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"stage": "staging", "comment": "Testing improved model"}]}
    )

    stage: Annotated[str, Field(min_length=1, max_length=50)]
    comment: Annotated[str, Field(max_length=1_000)] | None = None
    project_id: Slug | None = None


class VersionDocument(BaseModel):
    """A version. `approved_by` and `approved_at` tell who agreed last to its move to production, and when.

    Where nobody had to agree it is who made the move.
    """

    id: str
    model_id: str
    version: str
    description: str | None
    stage: StageWord
    run_id: str | None
    artifact_version_id: str | None
    digest: str
    metrics: dict[str, float]
    tags: list[str]
    metadata: dict[str, Any]
    approved_by: str | None
    approved_at: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, version: FoundVersion) -> Self:
        """The document about `version`."""
        custom = dict(version.custom_metadata)
        named_elsewhere = custom.pop(ARTIFACT_ELSEWHERE, None)
        return cls(
            id=str(version.id),
            model_id=str(version.registered_model_id),
            version=spell_semver(version.semver),
            description=version.description,
            stage=WORD_OF[version.stage],
            run_id=version.run_id,
            artifact_version_id=version.digest if version.has_artifact else named_elsewhere,
            digest=version.digest,
            metrics=version.metrics,
            tags=tags_to(version.tags),
            metadata=custom,
            approved_by=version.approved_by,
            approved_at=version.approved_at,
            created_by=version.created_by,
            created_at=version.created_at,
            updated_at=version.updated_at,
        )


WAITS = "The move is asked for; the version stays as it is until others have agreed"
"""What an answer of 202 means."""


class WaitingMove(BaseModel):
    """What a version waits for: others who must agree to its move, with `POST {path}/approve`."""

    request_id: str
    to_stage: Stage
    approvals_needed: int
    role: Role
    expires_at: datetime
    path: str

    @classmethod
    def of(cls, request: TransitionRequest) -> Self:
        """The document about `request`."""
        return cls(
            request_id=str(request.id),
            to_stage=request.to_stage,
            approvals_needed=request.approvals_needed,
            role=request.role,
            expires_at=request.expires_at,
            path=f"/api/v1/projects/{request.project}/transition-requests/{request.id}",
        )


class WaitingVersionDocument(VersionDocument):
    """A version as it stands, whose move others must agree to."""

    transition_request: WaitingMove


class VersionPage(Page[VersionDocument]):
    """Some versions, from the newest to the oldest."""


class ModelDocument(BaseModel):
    """A registered model."""

    id: str
    name: str
    project_id: str
    description: str | None
    tags: list[str]
    created_by: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, model: FoundModel) -> Self:
        """The document about `model`."""
        return cls(**_members(model))


class ModelWithVersions(ModelDocument):
    """A registered model and its versions, newest first; of a great many only the newest thousand."""

    version_count: int
    versions: list[VersionDocument]

    @classmethod
    def of_all(cls, model: FoundModel, versions: list[VersionDocument]) -> Self:
        """The document about `model` and `versions`."""
        return cls(**_members(model), version_count=model.last_number, versions=versions)


def _members(model: FoundModel) -> dict[str, Any]:
    return {
        "id": str(model.id),
        "name": model.name,
        "project_id": model.project,
        "description": model.description,
        "tags": tags_to(model.tags),
        "created_by": model.created_by,
        "created_at": model.created_at,
        "updated_at": model.updated_at,
    }


class ModelPage(Page[ModelDocument]):
    """Some registered models, by name."""


class SummaryDocument(BaseModel):
    """How much the project has registered, and how many versions are in which stage."""

    total_models: int
    total_versions: int
    versions_by_stage: dict[StageWord, int]

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """The document about `summary`."""
        by_word: dict[StageWord, int] = dict.fromkeys(WORD_OF.values(), 0)
        for stage, versions in summary.versions_by_stage.items():
            by_word[WORD_OF[stage]] += versions
        return cls(
            total_models=summary.models,
            total_versions=sum(by_word.values()),
            versions_by_stage=by_word,
        )


class TransitionDocument(BaseModel):
    """One move that a version made."""

    from_stage: StageWord
    to_stage: StageWord
    comment: str | None
    transitioned_by: str
    transitioned_at: datetime


class TransitionPage(Page[TransitionDocument]):
    """Some moves, newest first."""
