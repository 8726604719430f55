"""Asks the fallbacks of the decided version, in their order, when its endpoint fails."""

import structlog
from modelyard_events.tensors import TensorError, as_declared
from modelyard_routing.decision import Reason, ServableVersion
from modelyard_runtime.problems import ProblemError

from modelyard_router.adapters.model_endpoint import ModelEndpoints
from modelyard_router.domain.features import missing_inputs
from modelyard_router.domain.prediction_outcome import PredictionOutcome
from modelyard_router.prediction.endpoint_call import ask_version
from modelyard_router.prediction.inference import Inference, name_of
from modelyard_router.prediction.input_gathering import GatheredInputs
from modelyard_router.problems import EndpointFailureError

log = structlog.get_logger()


async def ask_fallbacks(
    endpoints: ModelEndpoints, inference: Inference, gathered: GatheredInputs, *, failure: EndpointFailureError
) -> PredictionOutcome:
    """Return the answer of the first fallback that has one. Raises `failure` when none has."""
    others: list[str] = []
    for fallback in inference.decision.fallbacks:
        if missing_inputs(fallback.endpoint.inputs, gathered.tensors):
            continue
        try:
            return await _ask_fallback(endpoints, inference, fallback, gathered, failure=failure)
        except (ProblemError, TensorError) as another:
            others.append(another.detail if isinstance(another, ProblemError) else f"Input {another}.")
    if others:
        failure.extra["fallback"] = " ".join(others)
    raise failure


async def _ask_fallback(
    endpoints: ModelEndpoints,
    inference: Inference,
    fallback: ServableVersion,
    gathered: GatheredInputs,
    *,
    failure: EndpointFailureError,
) -> PredictionOutcome:
    tensors = as_declared(gathered.tensors, fallback.endpoint.inputs)
    answer, outputs = await ask_version(endpoints, inference, fallback, tensors)
    log.warning(
        "prediction_fell_back",
        inference_id=inference.id,
        error=failure.code,
        version=name_of(inference.served),
        fallback=name_of(fallback),
    )
    return PredictionOutcome(
        served=fallback,
        reason=Reason.FELL_BACK,
        cache="bypass",
        cache_reason="fell_back",
        outcome="fell_back",
        error=failure.code,
        version_matched=answer.is_by(fallback.version),
        entity_version=gathered.entity_version,
        inputs=gathered.tensors,
        outputs=outputs,
    )
