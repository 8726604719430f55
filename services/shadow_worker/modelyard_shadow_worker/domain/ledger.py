"""The terminal fact of a replay: every request that has a shadow ends in exactly one of them."""

from typing import Any, assert_never

from modelyard_events.inferences import InferenceCompleted, ShadowTarget
from modelyard_events.shadows import ComparedVersion, ShadowReplayCompleted

from modelyard_shadow_worker.domain.replay import Compared, Dropped, End, Expired, Failed

ERROR_CHARS_MAX = 1_000


def terminal_fact(event: InferenceCompleted, shadow: ShadowTarget, *, end: End) -> ShadowReplayCompleted:
    """What is published about a replay that has ended."""
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
        **_ending(end),
    )


def without_outputs(fact: ShadowReplayCompleted) -> ShadowReplayCompleted:
    """The same fact for a broker that does not take one so large: the verdict stays, the outputs go."""
    note = "the outputs were left out: with them the fact is larger than the broker accepts"
    return fact.model_copy(
        update={
            "served_outputs": (),
            "shadow_outputs": (),
            "error": note if fact.error is None else f"{fact.error}; {note}",
        }
    )


def _ending(end: End) -> dict[str, Any]:
    match end:
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
            assert_never(end)
