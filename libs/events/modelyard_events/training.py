"""What training jobs say: a run has completed, and here is the evidence.

The artifact was uploaded to the registry before; the event names its digest.
"""

from typing import ClassVar

from modelyard_events.identifiers import ForeignId
from modelyard_events.ingest import IngestEvent
from modelyard_events.reported import ReportedEvidence
from modelyard_events.values import ChangeType, Digest, Semver, Slug


class TrainingRunCompleted(IngestEvent):
    """A training run ended with a model that is to become a version of the registered model `model`.

    `semver` is explicit, or `change_type` says how far to step from the version before; neither means
    `minor`. The same `run_id` and `digest` register one version, however often the event is delivered.
    """

    type: ClassVar[str] = "training_run.completed.v1"

    project: Slug
    model: Slug
    run_id: ForeignId
    digest: Digest
    semver: Semver | None = None
    change_type: ChangeType | None = None
    evidence: ReportedEvidence = ReportedEvidence()
