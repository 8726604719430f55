"""The fact that is published when a replay has ended: one for every request that has a shadow."""

from typing import Any, assert_never

from modelyard_events.inferences import InferenceCompleted, ShadowTarget
from modelyard_events.shadows import ComparedVersion, ShadowReplayCompleted

from modelyard_shadow_worker.domain.replay import Compared, Dropped, Expired, Failed, ReplayOutcome

ERROR_CHARS_MAX = 1_000


def terminal_fact(event: InferenceCompleted, shadow: ShadowTarget, *, outcome: ReplayOutcome) -> ShadowReplayCompleted:
    """Return the fact about a replay with this outcome."""
    served = event.served
    return ShadowReplayCompleted(
        inference_id=event.inference_id,
        project=event.project,
        model_type=event.model_type,
        tenant=event.tenant,
        industry=event.industry,
        served=ComparedVersion(
            version_id=served.version_id, model=served.model, number=served.number, digest=served.digest
        ),
        shadow=ComparedVersion(
            version_id=shadow.version_id, model=shadow.model, number=shadow.number, digest=shadow.digest
        ),
        served_outputs=event.outputs,
        served_latency_ms=event.latency_ms,
        **_members(outcome),
    )


def without_outputs(fact: ShadowReplayCompleted) -> ShadowReplayCompleted:
    """Return the fact without its outputs, for a broker that refuses the whole one because of its size."""
    note = "the outputs were left out: with them the fact is larger than the broker accepts"
    return fact.model_copy(
        update={
            "served_outputs": (),
            "shadow_outputs": (),
            "error": note if fact.error is None else f"{fact.error}; {note}",
        }
    )


def _members(outcome: ReplayOutcome) -> dict[str, Any]:
    match outcome:
        case Compared(comparison=comparison, outputs=outputs, latency_ms=latency_ms):
            return {
                "outcome": "compared",
                "verdict": comparison.verdict,
                "difference": comparison.difference,
                "difference_abs": comparison.difference_abs,
                "shadow_outputs": outputs,
                "shadow_latency_ms": latency_ms,
            }
        case Expired(reason=reason):
            return {"outcome": "expired", "error": reason[:ERROR_CHARS_MAX]}
        case Dropped(reason=reason):
            return {"outcome": "dropped", "error": reason[:ERROR_CHARS_MAX]}
        case Failed(reason=reason):
            return {"outcome": "failed", "error": reason[:ERROR_CHARS_MAX]}
        case _:
            assert_never(outcome)
