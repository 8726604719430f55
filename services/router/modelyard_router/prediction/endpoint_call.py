"""Asks the endpoint of the decided version; when it fails, the endpoints of its fallbacks, in their order."""

import structlog
from modelyard_events.tensors import TensorError, as_declared
from modelyard_events.values import Tensor
from modelyard_routing.decision import Reason, ServableVersion
from modelyard_routing.receipt import shadow_of
from modelyard_runtime.problems import InvalidRequestError, ProblemError

from modelyard_router.adapters.model_endpoint import ModelEndpoints
from modelyard_router.domain.features import missing_inputs
from modelyard_router.domain.prediction_outcome import PredictionOutcome
from modelyard_router.domain.prediction_protocol import InferenceAnswer
from modelyard_router.domain.prediction_request import requested
from modelyard_router.metrics import VERSION_MISMATCHES
from modelyard_router.prediction.cache_lookup import CacheBypass, CacheMiss, status_of
from modelyard_router.prediction.inference import Inference, name_of
from modelyard_router.prediction.input_gathering import GatheredInputs
from modelyard_router.problems import EndpointFailureError, OutputsMissingError

log = structlog.get_logger()


async def ask_decided(
    endpoints: ModelEndpoints, inference: Inference, gathered: GatheredInputs, lookup: CacheMiss | CacheBypass
) -> PredictionOutcome:
    """Return the decided version's answer. Raises EndpointFailureError when a fallback may help, else ProblemError."""
    served = inference.served
    try:
        tensors = as_declared(gathered.tensors, served.endpoint.inputs)
    except TensorError as error:
        raise InvalidRequestError(f"Input {error}.", fix=error.fix) from error
    answer, outputs = await _ask(endpoints, inference, served, tensors)
    is_matched = answer.is_by(served.version)
    if not is_matched:
        _report_mismatch(served, answer)
    return PredictionOutcome(
        served=served,
        reason=inference.receipt.reason,
        cache=status_of(lookup),
        cache_reason=lookup.reason if isinstance(lookup, CacheBypass) else None,
        outcome="served",
        version_matched=is_matched,
        entity_version=gathered.entity_version,
        inputs=gathered.tensors,
        outputs=outputs,
        shadow=shadow_of(inference.decision, request_id=inference.id) if is_matched else None,
    )


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
    answer, outputs = await _ask(endpoints, inference, fallback, tensors)
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


async def _ask(
    endpoints: ModelEndpoints, inference: Inference, version: ServableVersion, tensors: tuple[Tensor, ...]
) -> tuple[InferenceAnswer, tuple[Tensor, ...]]:
    """Return the version's answer, and those of its outputs that the caller wants. Raises ProblemError."""
    answer = await endpoints.ask(version, tensors, asked=inference.question)
    try:
        return answer, requested(inference.asked.outputs, answer.outputs)
    except KeyError as error:
        name, has = error.args[0], ", ".join(tensor.name for tensor in answer.outputs[:20])
        raise OutputsMissingError(
            f"{name_of(version)} answered no output {name:.100}.",
            fix=f"Ask for others in `outputs`, or leave it out to get all. It answered: {has}.",
        ) from error


def _report_mismatch(served: ServableVersion, answer: InferenceAnswer) -> None:
    VERSION_MISMATCHES.labels(served.version.model).inc()
    log.warning("version_mismatched", decided=name_of(served), answered=f"{answer.model_name}/{answer.model_version}")
