"""Asks the endpoint of a version. What happens when it fails is in `fallback`."""

import structlog
from modelyard_events.tensors import TensorError, as_declared
from modelyard_events.values import Tensor
from modelyard_routing.decision import ServableVersion
from modelyard_routing.receipt import shadow_of
from modelyard_runtime.problems import InvalidRequestError

from modelyard_router.adapters.model_endpoint import ModelEndpoints
from modelyard_router.domain.prediction_outcome import PredictionOutcome
from modelyard_router.domain.prediction_protocol import InferenceAnswer
from modelyard_router.domain.prediction_request import requested
from modelyard_router.metrics import VERSION_MISMATCHES
from modelyard_router.prediction.cache_lookup import CacheBypass, CacheMiss, status_of
from modelyard_router.prediction.inference import Inference, name_of
from modelyard_router.prediction.input_gathering import GatheredInputs
from modelyard_router.problems import OutputsMissingError

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
    answer, outputs = await ask_version(endpoints, inference, served, tensors)
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


async def ask_version(
    endpoints: ModelEndpoints, inference: Inference, version: ServableVersion, tensors: tuple[Tensor, ...]
) -> tuple[InferenceAnswer, tuple[Tensor, ...]]:
    """Return the version's answer, and those of its outputs that the caller wants. Raises ProblemError."""
    answer = await endpoints.ask(version, tensors, request=inference.endpoint_request)
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
