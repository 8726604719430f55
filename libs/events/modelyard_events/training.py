"""What training jobs say: a run has completed, and here is the evidence.

The artifact was uploaded to the registry before; the event names its digest.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from modelyard_events.event import Event
from modelyard_events.reported import ReportedEvidence
from modelyard_events.values import ChangeType, Digest, Semver, Slug


class TrainingRunCompleted(Event):
    """A training run ended with a model that is to become a version of the registered model `model`.

    `semver` is explicit, or `change_type` says how far to step from the version before; neither means
    `minor`. The same `run_id` and `digest` register one version, however often the event is delivered.
    """

    type: ClassVar[str] = "training_run.completed.v1"

    project: Slug
    model: Slug
    run_id: Annotated[str, Field(min_length=1, max_length=200)]
    digest: Digest
    semver: Semver | None = None
    change_type: ChangeType | None = None
    evidence: ReportedEvidence = ReportedEvidence()
