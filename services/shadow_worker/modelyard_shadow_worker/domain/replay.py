"""What becomes of a served request: asked again with the inputs that the shadow declares, or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from modelyard_events.inferences import InferenceCompleted, ShadowTarget
from modelyard_events.tensors import TensorError, as_declared
from modelyard_events.values import Feature, Tensor

from modelyard_shadow_worker.domain.compare import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a request is too old to be replayed, and when too many wait."""

    freshness_s: float
    lag_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Ask the shadow with these inputs."""

    inputs: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """Too old: an answer now would say nothing about then."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Shed, so that newer requests get their turn."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The replay cannot give an answer to compare with."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The shadow answered, and its answer was judged."""

    comparison: Comparison
    outputs: tuple[Tensor, ...]
    latency_ms: float


End = Compared | Expired | Dropped | Failed
"""How a replay ends: exactly one of these per request that has a shadow."""


def shadow_of(event: InferenceCompleted) -> ShadowTarget | None:
    """The version that is asked as well, or None when the request is not to be replayed.

    Only what the decided version itself served is worth comparing.
    """
    if event.outcome != "served" or not event.version_matched:
        return None
    return event.shadow


def decide_replay(
    event: InferenceCompleted,
    shadow: ShadowTarget,
    *,
    occurred_at: datetime,
    now: datetime,
    lag: int,
    limits: Limits,
) -> Replay | Expired | Dropped | Failed:
    """What to do with a request that has a shadow. `lag` is how many records wait behind this one."""
    age_s = (now - occurred_at).total_seconds()
    if age_s > limits.freshness_s:
        return Expired(reason=f"the request was {age_s:.0f} s old, the limit is {limits.freshness_s:g} s")
    if lag > limits.lag_max:
        return Dropped(reason=f"{lag} records were waiting, the limit is {limits.lag_max}")
    return _select_inputs(event.inputs, declared=shadow.endpoint.inputs)


def _select_inputs(inputs: Sequence[Tensor], *, declared: Sequence[Feature]) -> Replay | Failed:
    """The inputs that the endpoint declares, in its order; all there are when it declares none."""
    if not inputs:
        return Failed(reason="the inference has no inputs to replay")
    if not declared:
        return Replay(inputs=tuple(inputs))
    names = {tensor.name for tensor in inputs}
    missing = [feature.name for feature in declared if feature.name not in names]
    if missing:
        return Failed(reason=f"inputs are missing that the shadow declares: {', '.join(missing)}")
    try:
        return Replay(inputs=as_declared(inputs, declared))
    except TensorError as error:
        return Failed(reason=f"the inputs do not fit the shadow: {error}")
