"""What the router says about the requests that it answered. No raw unit ids: a hash stands for the unit."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelyard_events.event import Event, Value
from modelyard_events.values import Digest, Endpoint, Scalar, Scope, Slug, Tensor


class RequestedOutput(Value):
    """An output that a caller asked for by name, with what it wants to be done to it."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    parameters: dict[str, Scalar] = Field(default_factory=dict)


class ServedVersion(Value):
    """The version that answered, or that was decided when none answered."""

    version_id: str
    model: Slug
    number: int
    semver: str
    digest: Digest
    scope: Scope


class ShadowTarget(Value):
    """The version that gets a copy of the request, with all that is needed to ask it."""

    version_id: str
    model: Slug
    number: int
    digest: Digest
    endpoint: Endpoint


class InferenceCompleted(Event):
    """A prediction request was answered, or failed.

    `inputs` are all features in hand when the answer was made, so that a shadow can be asked with the
    same ones; `requested_outputs` are the outputs that the caller asked for, none when it wanted all.
    `version_matched` is false when the endpoint answered for another version than the
    decided one: such an answer is neither cached nor compared. Latency is what the caller waited.
    """

    type: ClassVar[str] = "inference.completed.v1"

    inference_id: str
    project: Slug
    model_type: Slug
    tenant: Slug | None = None
    industry: Slug | None = None
    unit_hash: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    entity_version: int | None = None
    served: ServedVersion
    reason: str
    experiment: Slug | None = None
    variant: Slug | None = None
    propensity: float | None = None
    route_revision: int
    cache: Literal["hit", "miss", "bypass"]
    outcome: Literal["served", "fell_back", "failed"]
    error: str | None = None
    version_matched: bool = True
    inputs: tuple[Tensor, ...] = ()
    requested_outputs: tuple[RequestedOutput, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    latency_ms: Annotated[float, Field(ge=0)]
    shadow: ShadowTarget | None = None


class ExposureRecorded(Event):
    """A unit was served a variant of a running experiment. `propensity` is its chance of getting it."""

    type: ClassVar[str] = "exposure.recorded.v1"

    exposure_id: str
    project: Slug
    model_type: Slug
    experiment: Slug
    experiment_id: str
    variant: Slug
    unit_hash: str
    propensity: Annotated[float, Field(ge=0, le=1)]
    tenant: Slug | None = None
    industry: Slug | None = None
    route_revision: int
