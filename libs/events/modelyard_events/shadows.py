"""What the shadow worker says: how each replay ended. One terminal fact per replay."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelyard_events.event import Event, Value
from modelyard_events.values import Digest, Slug, Tensor


class ComparedVersion(Value):
    """One side of a comparison."""

    version_id: str
    model: Slug
    number: int
    digest: Digest


class ShadowReplayCompleted(Event):
    """A replay reached its end.

    The ledger adds up: requested = compared + failed + expired + dropped. `inference_id` names the
    request that was replayed and is the dedupe key of the fact. `verdict` judges a compared pair:
    `match` within the tolerance, else `drift`. `difference` is the mean of shadow minus served over
    all numeric outputs, in the outputs' own unit.
    """

    type: ClassVar[str] = "shadow_replay.completed.v1"

    inference_id: str
    project: Slug
    model_type: Slug
    tenant: Slug | None = None
    industry: Slug | None = None
    served: ComparedVersion
    shadow: ComparedVersion
    outcome: Literal["compared", "failed", "expired", "dropped"]
    error: str | None = None
    verdict: Literal["match", "drift"] | None = None
    difference: float | None = None
    difference_abs: Annotated[float, Field(ge=0)] | None = None
    served_outputs: tuple[Tensor, ...] = ()
    shadow_outputs: tuple[Tensor, ...] = ()
    served_latency_ms: Annotated[float, Field(ge=0)]
    shadow_latency_ms: Annotated[float, Field(ge=0)] | None = None
