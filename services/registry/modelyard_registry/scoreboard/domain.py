"""Facts to counts. Pure: which facts are new, and what they add."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from modelyard_events.inferences import ExposureRecorded, InferenceCompleted
from modelyard_events.shadows import ShadowReplayCompleted
from modelyard_runtime.consume import Delivery
from modelyard_runtime.errors import PermanentError


class VariantKey(NamedTuple):
    """A variant of an experiment; `key` is the experiment's."""

    project: str
    key: str
    variant: str


class PairKey(NamedTuple):
    """A served version and its shadow."""

    project: str
    model_type: str
    served_version_id: str
    shadow_version_id: str


@dataclass(slots=True, kw_only=True)
class VariantTally:
    """What a batch adds to a variant. Latency is a sum of milliseconds."""

    exposures: int = 0
    requests: int = 0
    errors: int = 0
    latency_ms: float = 0.0


@dataclass(slots=True, kw_only=True)
class PairTally:
    """What a batch adds to the ledger of a served version and its shadow.

    `served` and `shadow` are `model/number`. The sums are over compared replays; `measured` are those of
    them that had numbers to subtract.
    """

    served: str
    shadow: str
    requested: int = 0
    compared: int = 0
    failed: int = 0
    expired: int = 0
    dropped: int = 0
    matched: int = 0
    drifted: int = 0
    measured: int = 0
    difference: float = 0.0
    difference_abs: float = 0.0
    served_latency_ms: float = 0.0
    shadow_latency_ms: float = 0.0


def tally_variants(deliveries: Iterable[Delivery[Any]]) -> dict[VariantKey, VariantTally]:
    """What exposures and inferences add to the variants of experiments, in the order of their keys."""
    tallies: dict[VariantKey, VariantTally] = {}
    for delivery in deliveries:
        match delivery.event:
            case ExposureRecorded() as event:
                tally = tallies.setdefault(VariantKey(event.project, event.experiment, event.variant), VariantTally())
                tally.exposures += 1
            case InferenceCompleted(experiment=str() as key, variant=str() as variant) as event:
                tally = tallies.setdefault(VariantKey(event.project, key, variant), VariantTally())
                tally.requests += 1
                tally.errors += event.outcome != "served"
                tally.latency_ms += _finite(event.latency_ms, name="latency_ms")
    return dict(sorted(tallies.items()))


def tally_requested(deliveries: Iterable[Delivery[Any]]) -> dict[PairKey, PairTally]:
    """What inferences with a shadow add to the ledger: each of them is a replay that must end."""
    tallies: dict[PairKey, PairTally] = {}
    for delivery in deliveries:
        match delivery.event:
            case InferenceCompleted(shadow=shadow) as event if shadow is not None:
                _pair(tallies, event, shadow=shadow).requested += 1
    return dict(sorted(tallies.items()))


def tally_replays(events: Sequence[ShadowReplayCompleted]) -> dict[PairKey, PairTally]:
    """What ended replays add to the ledger, in the order of their keys."""
    tallies: dict[PairKey, PairTally] = {}
    for event in events:
        _add_replay(_pair(tallies, event, shadow=event.shadow), event)
    return dict(sorted(tallies.items()))


def _add_replay(tally: PairTally, event: ShadowReplayCompleted) -> None:
    match event.outcome:
        case "failed":
            tally.failed += 1
        case "expired":
            tally.expired += 1
        case "dropped":
            tally.dropped += 1
        case "compared":
            tally.compared += 1
            tally.matched += event.verdict == "match"
            tally.drifted += event.verdict == "drift"
            tally.served_latency_ms += _finite(event.served_latency_ms, name="served_latency_ms")
            tally.shadow_latency_ms += _finite(event.shadow_latency_ms or 0.0, name="shadow_latency_ms")
            if event.difference is not None and event.difference_abs is not None:
                tally.measured += 1
                tally.difference += _finite(event.difference, name="difference")
                tally.difference_abs += _finite(event.difference_abs, name="difference_abs")


def _pair(tallies: dict[PairKey, PairTally], event: Any, *, shadow: Any) -> PairTally:
    key = PairKey(
        project=event.project,
        model_type=event.model_type,
        served_version_id=_version_id(event.served.version_id),
        shadow_version_id=_version_id(shadow.version_id),
    )
    return tallies.setdefault(
        key,
        PairTally(served=f"{event.served.model}/{event.served.number}", shadow=f"{shadow.model}/{shadow.number}"),
    )


def _version_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as error:
        msg = f"version_id {text[:50]!r} is not a UUID, so it is no version of this registry."
        raise PermanentError(msg, reason="version_id_invalid") from error


def _finite(number: float, *, name: str) -> float:
    # One of them in a sum would make it useless for good.
    if not math.isfinite(number):
        raise PermanentError(f"{name} is {number}.", reason="number_not_finite")
    return number
