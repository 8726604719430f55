"""What the registry says about models: facts about registered models, their versions and aliases."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelyard_events.event import Event, Value
from modelyard_events.values import Digest, Endpoint, Evidence, Scope, Semver, Slug, Stage


class RegisteredModelCreated(Event):
    """A registered model was created."""

    type: ClassVar[str] = "registered_model.created.v1"

    project: Slug
    model: Slug
    registered_model_id: str
    model_type: Slug
    scope: Scope
    industry: Slug | None = None
    tenant: Slug | None = None
    description: str | None = None
    owner: str | None = None
    team: str | None = None
    primary_metric: str | None = None
    higher_is_better: bool = True
    tags: dict[str, str] = Field(default_factory=dict)


class ModelVersionRegistered(Event):
    """A model version was registered: an immutable artifact with its evidence.

    `improvement` is relative to the parent by the primary metric (0.05 is 5 % better), or absent when
    the two cannot be compared.
    """

    type: ClassVar[str] = "model_version.registered.v1"

    project: Slug
    model: Slug
    number: Annotated[int, Field(ge=1)]
    version_id: str
    semver: Semver
    stage: Stage
    digest: Digest
    artifact_bytes: Annotated[int, Field(ge=0)]
    format: str
    improvement: float | None = None
    build_status: Literal["training", "evaluating", "ready", "failed"] = "ready"
    evidence: Evidence


class ModelVersionTransitioned(Event):
    """A model version moved from one stage to another.

    `request_id` names the transition request that the move fulfilled, `approved_by` who agreed to it.
    """

    type: ClassVar[str] = "model_version.transitioned.v1"

    project: Slug
    model: Slug
    number: int
    from_stage: Stage
    to_stage: Stage
    revision: int
    reason: str | None = None
    request_id: str | None = None
    approved_by: tuple[str, ...] = ()


class ModelVersionRolledBack(Event):
    """The champion `replaced` was taken back and `restored`, an earlier champion, serves again."""

    type: ClassVar[str] = "model_version.rolled_back.v1"

    project: Slug
    model: Slug
    replaced: int
    restored: int
    reason: str | None = None


class ModelVersionQuarantined(Event):
    """A model version was put in quarantine (never served), or released from it."""

    type: ClassVar[str] = "model_version.quarantined.v1"

    project: Slug
    model: Slug
    number: int
    quarantined: bool
    revision: int
    reason: str | None = None


class ModelVersionArtifactAttached(Event):
    """A further artifact belongs to a model version, under a name of its own; it is never replaced."""

    type: ClassVar[str] = "model_version.artifact_attached.v1"

    project: Slug
    model: Slug
    number: int
    name: Slug
    digest: Digest
    artifact_bytes: Annotated[int, Field(ge=0)]
    format: str


class AliasMoved(Event):
    """An alias points at another version than before; absent numbers mean that it pointed at none."""

    type: ClassVar[str] = "alias.moved.v1"

    project: Slug
    model: Slug
    alias: Slug
    from_number: int | None = None
    to_number: int | None = None


class DeploymentRecorded(Event):
    """A version answers at an endpoint in an environment, in the health that is given.

    `previous_endpoint` and `previous_health` are what was recorded for that environment before, if anything;
    `revision` is the version's after it. `request_id` names the request by which others agreed to the endpoint of
    a version that is served, `approved_by` who did.
    """

    type: ClassVar[str] = "deployment.recorded.v1"

    project: Slug
    model: Slug
    number: int
    environment: str
    endpoint: Endpoint
    health: Literal["healthy", "unhealthy", "unknown"]
    previous_endpoint: Endpoint | None = None
    previous_health: Literal["healthy", "unhealthy", "unknown"] | None = None
    revision: int | None = None
    request_id: str | None = None
    approved_by: tuple[str, ...] = ()


class ExperimentVariant(Value):
    """An arm of an experiment, bound to one model version."""

    name: Slug
    role: Literal["control", "treatment"]
    model: Slug
    number: Annotated[int, Field(ge=1)]
    share_bp: Annotated[int, Field(ge=0, le=10_000)]


class ExperimentStarted(Event):
    """An experiment began; its control is what selection gave at that moment, and stays pinned."""

    type: ClassVar[str] = "experiment.started.v1"

    project: Slug
    model_type: Slug
    experiment_id: str
    key: Slug
    hypothesis: str | None = None
    variants: tuple[ExperimentVariant, ...]
    traffic_bp: Annotated[int, Field(ge=0, le=10_000)]
    tenants: tuple[Slug, ...] = ()
    industries: tuple[Slug, ...] = ()


class ExperimentStopped(Event):
    """An experiment ended; selection decides again for everyone whom it covered."""

    type: ClassVar[str] = "experiment.stopped.v1"

    project: Slug
    model_type: Slug
    experiment_id: str
    key: Slug
    reason: str | None = None


class AuditEntryRecorded(Event):
    """One change, or one refusal: who, what, when, from, to, why.

    Its place in the log, a gapless index, is the envelope's `sequence`. `previous_hash` is the hash of the
    entry before it about the same subject (see `modelyard_events.audit_chain`); the first has none. `hash` is its own;
    entries that are older than this member have none.
    """

    type: ClassVar[str] = "audit_entry.recorded.v1"

    entry_id: str
    project: Slug
    actor: str
    action: str
    subject: str
    recorded_at: datetime
    before: dict[str, object] | None = None
    after: dict[str, object] | None = None
    reason: str | None = None
    digest: Digest | None = None
    request_id: str | None = None
    previous_hash: Digest | None = None
    hash: Digest | None = None
