"""Decides whether a served request is replayed, and with which inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from modelyard_events.inferences import InferenceCompleted, ShadowTarget
from modelyard_events.tensors import TensorError, as_declared
from modelyard_events.values import Feature, Tensor

from modelyard_shadow_worker.domain.compare import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayLimits:
    """A request older than `freshness_s` expires; while more than `lag_max` records wait, requests are dropped."""

    freshness_s: float
    lag_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The request is replayed with these inputs."""

    inputs: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """The request is too old: an answer now would say nothing about the time of the request."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Too many requests wait: this one is dropped, so that newer ones are replayed."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The replay gave no answer that could be compared."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The shadow answered, and its answer was compared with the served one."""

    comparison: Comparison
    outputs: tuple[Tensor, ...]
    latency_ms: float


ReplayOutcome = Compared | Expired | Dropped | Failed
"""How a replay ends: every request that has a shadow has exactly one of these outcomes."""


def shadow_of(event: InferenceCompleted) -> ShadowTarget | None:
    """Return the version that gets the replay, or None when the request is not replayed.

    Only answers of the decided version are compared; those of a fallback are not.
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
    limits: ReplayLimits,
) -> Replay | Expired | Dropped | Failed:
    """Decide about a request that has a shadow. `lag` is the number of records that wait behind this one."""
    age_s = (now - occurred_at).total_seconds()
    if age_s > limits.freshness_s:
        return Expired(reason=f"the request was {age_s:.0f} s old, the limit is {limits.freshness_s:g} s")
    if lag > limits.lag_max:
        return Dropped(reason=f"{lag} records were waiting, the limit is {limits.lag_max}")
    return _select_inputs(event.inputs, declared=shadow.endpoint.inputs)


def _select_inputs(inputs: Sequence[Tensor], *, declared: Sequence[Feature]) -> Replay | Failed:
    """Select the inputs that the endpoint declares, in its order; all inputs when it declares none."""
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
