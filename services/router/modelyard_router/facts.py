"""Records facts about requests: exposures and inferences. Recording a fact never makes a caller wait."""

from hashlib import blake2b

from modelyard_events.inferences import ExposureRecorded, InferenceCompleted, ServedVersion, ShadowTarget
from modelyard_events.topics import INFERENCES
from modelyard_routing.decision import RouteDecision, RouteRequest, ServableVersion
from modelyard_routing.receipt import Receipt
from modelyard_runtime.ids import NewId
from modelyard_runtime.publish.fact_queue import FactQueue

from modelyard_router.domain.attributes import Attributes
from modelyard_router.domain.prediction_outcome import PredictionOutcome
from modelyard_router.domain.prediction_request import PredictionRequest

ERROR_CHARACTERS_MAX = 200
FACT_BYTES_MAX = 900_000
FACT_ELEMENTS_MAX = 50_000
"""A fact with more elements would block the event loop too long; its tensors are left out, and it has no replay."""

_HASH_BYTES = 16


class Facts:
    """Makes facts and offers them to the queue."""

    def __init__(self, queue: FactQueue, *, new_id: NewId) -> None:
        self._queue = queue
        self._new_id = new_id

    def record_exposure(self, decision: RouteDecision, receipt: Receipt, request: RouteRequest) -> None:
        """Record that a unit was served a variant, if an experiment assigned one.

        Record it also if the prediction fails afterwards: without the failures, the variant that fails would look
        better than it is.
        """
        experiment, variant, unit = decision.experiment, decision.variant, receipt.unit_hash
        if experiment is None or variant is None or unit is None or decision.propensity is None:
            return
        exposure = ExposureRecorded(
            exposure_id=self._new_id(),
            project=receipt.project,
            model_type=receipt.model_type,
            experiment=experiment.key,
            experiment_id=experiment.experiment_id,
            variant=variant.name,
            unit_hash=unit,
            propensity=decision.propensity,
            tenant=request.tenant,
            industry=request.industry,
            route_revision=receipt.route_revision,
        )
        self._queue.offer(INFERENCES, exposure, key=f"{receipt.project}/{receipt.model_type}/{unit}")

    def record_inference(
        self,
        receipt: Receipt,
        asked: PredictionRequest,
        outcome: PredictionOutcome,
        *,
        inference_id: str,
        latency_ms: float,
    ) -> None:
        """Record how a prediction request ended: one fact for each request for which a version was decided."""
        version, attributes, request = outcome.served.version, asked.attributes, asked.attributes.request
        fact = InferenceCompleted(
            inference_id=inference_id,
            project=receipt.project,
            model_type=receipt.model_type,
            tenant=request.tenant,
            industry=request.industry,
            unit_hash=receipt.unit_hash,
            entity_type=attributes.entity_type,
            entity_id=attributes.entity_id,
            entity_version=outcome.entity_version,
            served=ServedVersion(
                version_id=version.version_id,
                model=version.model,
                number=version.number,
                semver=version.semver,
                digest=version.digest,
                scope=version.scope,
            ),
            reason=outcome.reason,
            experiment=receipt.experiment,
            variant=receipt.variant,
            propensity=receipt.propensity,
            route_revision=receipt.route_revision,
            cache=outcome.cache,
            outcome=outcome.outcome,
            error=None if outcome.error is None else outcome.error[:ERROR_CHARACTERS_MAX],
            version_matched=outcome.version_matched,
            inputs=outcome.inputs,
            requested_outputs=asked.outputs,
            outputs=outcome.outputs,
            latency_ms=latency_ms,
            shadow=_shadow(outcome.shadow),
        )
        key = f"{receipt.project}/{receipt.model_type}/{_owner(receipt, attributes, inference_id)}"
        self._queue.offer(INFERENCES, _slim(fact), key=key)


def _slim(fact: InferenceCompleted) -> InferenceCompleted:
    """Return the fact; without tensors and shadow when they make it too large for the topic, or slow to write."""
    elements = sum(len(tensor.data) for tensor in (*fact.inputs, *fact.outputs))
    if elements <= FACT_ELEMENTS_MAX and len(fact.model_dump_json()) <= FACT_BYTES_MAX:
        return fact
    return fact.model_copy(update={"inputs": (), "outputs": (), "shadow": None})


def _shadow(version: ServableVersion | None) -> ShadowTarget | None:
    if version is None:
        return None
    return ShadowTarget(
        version_id=version.version.version_id,
        model=version.version.model,
        number=version.version.number,
        digest=version.version.digest,
        endpoint=version.endpoint,
    )


def _owner(receipt: Receipt, attributes: Attributes, inference_id: str) -> str:
    """Return the end of the fact's key. Facts of one unit stay in order, else facts of one entity."""
    if receipt.unit_hash is not None:
        return receipt.unit_hash
    if attributes.entity_id is None:
        return _hash(inference_id)
    return _hash(f"{attributes.request.tenant}/{attributes.entity_type}/{attributes.entity_id}")


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=_HASH_BYTES).hexdigest()
