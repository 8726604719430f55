"""What changes about registered models and versions after they were made: names, descriptions, statuses.

Each fact says how it was and how it is, in full: a reader needs no other fact to follow it.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelyard_events.event import Event, Value
from modelyard_events.free_json import FreeJson
from modelyard_events.values import ModelCard, Slug


class RegisteredModelFacts(Value):
    """What may change about a registered model, apart from its name."""

    description: str | None = None
    owner: str | None = None
    team: str | None = None
    primary_metric: str | None = None
    higher_is_better: bool = True
    tags: dict[str, str] = Field(default_factory=dict)


class RegisteredModelUpdated(Event):
    """A registered model is described otherwise than before."""

    type: ClassVar[str] = "registered_model.updated.v1"

    project: Slug
    model: Slug
    registered_model_id: str
    revision: int
    before: RegisteredModelFacts
    after: RegisteredModelFacts


class Improved(Value):
    """By how much a version is better than its parent (0.05 is 5 %); absent when the two cannot be compared."""

    number: Annotated[int, Field(ge=1)]
    improvement: float | None = None


class RegisteredModelRemeasured(Event):
    """Versions of a model improve on their parents otherwise, because it is measured otherwise than before.

    Only those that came out otherwise, by number; of a great many the rest follows in the next fact.
    """

    type: ClassVar[str] = "registered_model.remeasured.v1"

    project: Slug
    model: Slug
    primary_metric: str | None = None
    higher_is_better: bool
    improvements: tuple[Improved, ...]


class RegisteredModelRenamed(Event):
    """A registered model has another name, under which its versions and aliases are known from then on.

    Told twice: as the last fact under the old name's key and as the first one under the new name's. Sequences go on
    rising across the two keys: what is read under the new key is to be applied after the fact that is one lower, under
    the old one. No other model ever gets the old name; parents that evidence names by it are found.
    """

    type: ClassVar[str] = "registered_model.renamed.v1"

    project: Slug
    registered_model_id: str
    revision: int
    before: Slug
    after: Slug
    reason: str | None = None


class RegisteredModelDeleted(Event):
    """A registered model was put away with its versions; nothing of it serves, and it can be restored."""

    type: ClassVar[str] = "registered_model.deleted.v1"

    project: Slug
    model: Slug
    registered_model_id: str
    revision: int
    reason: str | None = None


class RegisteredModelRestored(Event):
    """A registered model that was put away is there again, with the versions and aliases that it had."""

    type: ClassVar[str] = "registered_model.restored.v1"

    project: Slug
    model: Slug
    registered_model_id: str
    revision: int
    reason: str | None = None


class ModelVersionFacts(Value):
    """What people may say about a version after its registration; its evidence stays as it was."""

    description: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    model_card: ModelCard | None = None
    custom_metadata: FreeJson = Field(default_factory=dict)


class ModelVersionUpdated(Event):
    """A model version is described otherwise than before."""

    type: ClassVar[str] = "model_version.updated.v1"

    project: Slug
    model: Slug
    number: Annotated[int, Field(ge=1)]
    revision: int
    before: ModelVersionFacts
    after: ModelVersionFacts


BuildStatus = Literal["training", "evaluating", "ready", "failed"]
"""How far the making of a version has come; apart from its stage."""

ReviewStatus = Literal["pending_review", "approved", "rejected"]
"""What people who looked at a version said; apart from its stage, and from approvals of a transition."""


class ModelVersionBuildStatusChanged(Event):
    """The making of a version has come further, or has failed."""

    type: ClassVar[str] = "model_version.build_status_changed.v1"

    project: Slug
    model: Slug
    number: Annotated[int, Field(ge=1)]
    revision: int
    before: BuildStatus
    after: BuildStatus
    reason: str | None = None


class ModelVersionReviewStatusChanged(Event):
    """Somebody has looked at a version and said what they think."""

    type: ClassVar[str] = "model_version.review_status_changed.v1"

    project: Slug
    model: Slug
    number: Annotated[int, Field(ge=1)]
    revision: int
    before: ReviewStatus
    after: ReviewStatus
    reason: str | None = None
