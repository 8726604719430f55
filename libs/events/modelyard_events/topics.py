"""The catalogue: every topic, its key, its producer and consumers, and the event types it carries.

Creation, checks and documentation all come from here; a topic that is not here does not exist.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from modelyard_events.access import ApiTokenChanged, RolesGranted, SigningKeyChanged
from modelyard_events.entities import EntityChanged
from modelyard_events.event import Event
from modelyard_events.inferences import ExposureRecorded, InferenceCompleted
from modelyard_events.invalidations import EntityPurged
from modelyard_events.limits import RECORD_BYTES_MAX
from modelyard_events.model_changes import (
    ModelVersionBuildStatusChanged,
    ModelVersionReviewStatusChanged,
    ModelVersionUpdated,
    RegisteredModelDeleted,
    RegisteredModelRemeasured,
    RegisteredModelRenamed,
    RegisteredModelRestored,
    RegisteredModelUpdated,
)
from modelyard_events.policies import ApprovalGiven, PolicyChanged, TransitionRequested, TransitionRequestEnded
from modelyard_events.refusals import AccessRefused
from modelyard_events.registry import (
    AliasMoved,
    AuditEntryRecorded,
    DeploymentRecorded,
    ExperimentStarted,
    ExperimentStopped,
    ModelVersionArtifactAttached,
    ModelVersionQuarantined,
    ModelVersionRegistered,
    ModelVersionRolledBack,
    ModelVersionTransitioned,
    RegisteredModelCreated,
)
from modelyard_events.routes import RouteChanged
from modelyard_events.shadows import ShadowReplayCompleted
from modelyard_events.training import TrainingRunCompleted

DAY_MS = 24 * 60 * 60 * 1_000
KEPT = -1


class Kind(Enum):
    """What a topic is for, which decides how it is kept and what an unknown event type means on it."""

    INGEST = "ingest"
    """Others write, we read: an event type that nobody knows is the sender's mistake."""
    FACTS = "facts"
    """We write, anyone reads: an unknown event type comes from a newer producer and is ignored."""
    STATE = "state"
    """Compacted: the last record of a key is its whole truth."""
    PARKED = "parked"
    """Dead letters, waiting for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic. `retention_ms` is `KEPT` (-1) when nothing is ever deleted by age.

    `name` is without the prefix that a shared cluster gets from settings; `key` says what the Kafka key
    is made of.
    """

    name: str
    key: str
    kind: Kind
    partitions: int
    retention_ms: int
    producer: str
    consumers: tuple[str, ...]
    events: tuple[type[Event], ...]

    @property
    def dead_letter_name(self) -> str:
        """Where records of this topic are parked."""
        return f"{self.name}.dead-letter"

    def config(self) -> dict[str, str]:
        """The topic's settings on the broker, as Kafka spells them."""
        if self.kind is Kind.STATE:
            return {
                "cleanup.policy": "compact",
                "min.compaction.lag.ms": str(60 * 60 * 1_000),
                "delete.retention.ms": str(7 * DAY_MS),
            }
        kept = {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}
        if self.kind is Kind.INGEST:
            # Anyone may write here. The broker unpacks what came compressed and holds the unpacked batch to the limit,
            # so that no consumer ever unpacks a few kilobytes to gigabytes.
            return {**kept, "compression.type": "uncompressed", "max.message.bytes": str(RECORD_BYTES_MAX)}
        return kept


TRAINING_RUNS = Topic(
    name="training-runs.v1",
    key="project/model",
    kind=Kind.INGEST,
    partitions=3,
    retention_ms=30 * DAY_MS,
    producer="training jobs",
    consumers=("registry",),
    events=(TrainingRunCompleted,),
)

MODEL_VERSIONS = Topic(
    name="model-versions.v1",
    key="project/model, or project alone for what is about all of it",
    kind=Kind.FACTS,
    partitions=6,
    retention_ms=KEPT,
    producer="registry",
    consumers=("anyone who follows models",),
    events=(
        RegisteredModelCreated,
        RegisteredModelUpdated,
        RegisteredModelRemeasured,
        RegisteredModelRenamed,
        RegisteredModelDeleted,
        RegisteredModelRestored,
        ModelVersionRegistered,
        ModelVersionUpdated,
        ModelVersionBuildStatusChanged,
        ModelVersionReviewStatusChanged,
        ModelVersionTransitioned,
        ModelVersionRolledBack,
        ModelVersionArtifactAttached,
        ModelVersionQuarantined,
        AliasMoved,
        DeploymentRecorded,
        ExperimentStarted,
        ExperimentStopped,
        PolicyChanged,
        TransitionRequested,
        ApprovalGiven,
        TransitionRequestEnded,
    ),
)

ROUTES = Topic(
    name="routes.v1",
    key="project/model_type",
    kind=Kind.STATE,
    partitions=3,
    retention_ms=KEPT,
    producer="registry",
    consumers=("router", "in-process libraries"),
    events=(RouteChanged,),
)

ACCESS = Topic(
    name="access.v1",
    key="token/token id | key/key id | grant/project/actor",
    kind=Kind.STATE,
    partitions=1,
    retention_ms=KEPT,
    producer="registry",
    consumers=("router", "cache_invalidator"),
    events=(ApiTokenChanged, SigningKeyChanged, RolesGranted),
)

ACCESS_REFUSALS = Topic(
    name="access-refusals.v1",
    key="project",
    kind=Kind.FACTS,
    # One, so that a gap in the sequence of a source shows here.
    partitions=1,
    retention_ms=30 * DAY_MS,
    producer="router | cache_invalidator",
    consumers=("registry",),
    events=(AccessRefused,),
)

AUDIT_LOG = Topic(
    name="audit-log.v1",
    key="project",
    kind=Kind.FACTS,
    partitions=1,
    retention_ms=KEPT,
    producer="registry",
    consumers=("auditors",),
    events=(AuditEntryRecorded,),
)

INFERENCES = Topic(
    name="inferences.v1",
    key="project/model_type/hash of unit",
    kind=Kind.FACTS,
    partitions=6,
    retention_ms=3 * DAY_MS,
    producer="router",
    consumers=("shadow_worker", "registry"),
    events=(InferenceCompleted, ExposureRecorded),
)

SHADOW_COMPARISONS = Topic(
    name="shadow-comparisons.v1",
    key="project/model_type/hash of unit",
    kind=Kind.FACTS,
    partitions=6,
    retention_ms=30 * DAY_MS,
    producer="shadow_worker",
    consumers=("registry",),
    events=(ShadowReplayCompleted,),
)

ENTITY_CHANGES = Topic(
    name="entity-changes.v1",
    key="tenant/entity_type/entity_id",
    kind=Kind.INGEST,
    partitions=6,
    retention_ms=7 * DAY_MS,
    producer="systems of record",
    consumers=("cache_invalidator",),
    events=(EntityChanged,),
)

CACHE_INVALIDATIONS = Topic(
    name="cache-invalidations.v1",
    key="tenant/entity_type/entity_id",
    kind=Kind.FACTS,
    partitions=6,
    retention_ms=7 * DAY_MS,
    producer="cache_invalidator",
    consumers=("registry", "anyone"),
    events=(EntityPurged,),
)

TOPICS: tuple[Topic, ...] = (
    TRAINING_RUNS,
    MODEL_VERSIONS,
    ROUTES,
    ACCESS,
    ACCESS_REFUSALS,
    AUDIT_LOG,
    INFERENCES,
    SHADOW_COMPARISONS,
    ENTITY_CHANGES,
    CACHE_INVALIDATIONS,
)
"""The topics that carry events; `dead_letter_topics` are those that park them."""

EVENT_TYPES: dict[str, type[Event]] = {event.type: event for topic in TOPICS for event in topic.events}
"""Every event type that Modelyard knows, by its wire type."""


def dead_letter_topics() -> Iterator[Topic]:
    """The dead-letter topic of each topic that one of our services consumes."""
    services = {"registry", "router", "shadow_worker", "cache_invalidator"}
    for topic in TOPICS:
        if services.intersection(topic.consumers):
            yield Topic(
                name=topic.dead_letter_name,
                key="as the source",
                kind=Kind.PARKED,
                partitions=1,
                retention_ms=30 * DAY_MS,
                producer=" | ".join(topic.consumers),
                consumers=("people",),
                events=(),
            )


def topic_named(name: str) -> Topic:
    """The topic of that name. Raises KeyError when the catalogue has none."""
    return {topic.name: topic for topic in (*TOPICS, *dead_letter_topics())}[name]
