"""Predicting: decide, look in the cache, get the features, ask the endpoint, fill the cache, answer, tell.

The order keeps the cache honest: its lease is taken before anything about the entity is read, so that an
answer made from inputs of before a purge can never be filled after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from modelyard_events.values import Feature, Tensor
from modelyard_prediction_cache import Entity, Lease, features_field, inputs_hash, prediction_field
from modelyard_routing.decision import Decision, Reason, ServableVersion
from modelyard_routing.receipt import Receipt, shadow_of
from modelyard_runtime.ids import NewId
from modelyard_runtime.principals import Principal
from modelyard_runtime.problems import ProblemError
from modelyard_runtime.state_tail import Seconds

from modelyard_router.adapters.answer_cache import AnswerCache, Fill
from modelyard_router.adapters.feature_source import EntityFeatures, FeatureSources
from modelyard_router.adapters.model_endpoint import ModelEndpoints
from modelyard_router.domain.attributes import Attributes
from modelyard_router.domain.cached_answer import CachedAnswer
from modelyard_router.domain.features import (
    FeatureMismatchError,
    declared_inputs,
    merged,
    missing_inputs,
    needs_features,
    tensors_of,
)
from modelyard_router.domain.open_inference import PredictionRequest, members_of, prediction_request_of
from modelyard_router.facts import CacheStatus, Ending, Facts
from modelyard_router.handlers import Handlers, json_of
from modelyard_router.metrics import PREDICT_SECONDS, PREDICTIONS, VERSION_MISMATCHES
from modelyard_router.problems import EndpointFailureError, FeatureSourceNonsenseError, InputsMissingError

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Inference:
    """One prediction request on its way; what is found out about it is written down here."""

    id: str
    asked: PredictionRequest
    decision: Decision
    receipt: Receipt
    entity: Entity | None
    cache: CacheStatus = "bypass"
    lease: Lease | None = None
    features: EntityFeatures | None = None
    features_were_cached: bool = False
    inputs: tuple[Tensor, ...] = field(default=())

    @property
    def served(self) -> ServableVersion:
        """The decided version."""
        return self.decision.served

    @property
    def reads_source(self) -> bool:
        """Whether the feature source must bring what the request does not."""
        return (
            self.decision.route.feature_source is not None
            and self.entity is not None
            and needs_features(self.served.endpoint.inputs, self.asked.inputs)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """Answers `/v1/predict`."""

    handlers: Handlers
    cache: AnswerCache
    features: FeatureSources
    endpoints: ModelEndpoints
    facts: Facts
    new_id: NewId
    seconds: Seconds

    async def predict(self, body: bytes, caller: Principal) -> bytes:
        """The answer to a request of the Open Inference Protocol v2. Raises ProblemError."""
        started_s = self.seconds()
        inference = self._begin(prediction_request_of(json_of(body)), caller=caller)
        request = inference.asked.attributes.request
        self.facts.record_exposure(inference.decision, inference.receipt, request)
        try:
            ending = await self._end(inference)
        except ProblemError as problem:
            self._tell(inference, _failed(inference, error=problem.code), started_s=started_s)
            raise
        self._tell(inference, ending, started_s=started_s)
        return _answer(inference, ending)

    def _begin(self, asked: PredictionRequest, *, caller: Principal) -> Inference:
        attributes = asked.attributes
        decision = self.handlers.decide(attributes.request, caller=caller)
        inference_id = self.new_id()
        return Inference(
            id=inference_id,
            asked=asked,
            decision=decision,
            receipt=self.handlers.receipt(decision, attributes.request, request_id=inference_id),
            entity=_entity_of(attributes),
        )

    async def _end(self, inference: Inference) -> Ending:
        cached = await self._look_up(inference)
        if cached is not None:
            return Ending(
                served=inference.served,
                reason=inference.receipt.reason,
                cache="hit",
                outcome="served",
                entity_version=cached.entity_version,
                inputs=cached.inputs,
                outputs=cached.outputs,
                shadow=shadow_of(inference.decision, request_id=inference.id),
            )
        await self._gather(inference)
        try:
            ending = await self._ask(inference)
        except EndpointFailureError as failure:
            return await self._fall_back(inference, failure)
        if ending.version_matched:
            await self._fill(inference, ending)
        return ending

    async def _look_up(self, inference: Inference) -> CachedAnswer | None:
        """What the cache knows; on a miss the lease, which is taken before anything is read."""
        if inference.entity is None:
            return None
        reading = await self.cache.read(
            inference.entity, prediction=_prediction_field(inference), features=_features_field(inference)
        )
        if reading is None:
            return None
        cached = None if reading.prediction is None else CachedAnswer.from_bytes(reading.prediction)
        if cached is not None:
            inference.cache = "hit"
            return cached
        inference.lease = reading.lease
        inference.cache = "bypass" if reading.lease is None else "miss"
        if reading.features is not None and reading.lease is not None:
            inference.features = EntityFeatures.from_bytes(reading.features.value)
            inference.features_were_cached = True
        return None

    async def _gather(self, inference: Inference) -> None:
        """Put all features in hand into `inputs`. Raises InputsMissingError, or what the source raises."""
        source, declared = inference.decision.route.feature_source, inference.served.endpoint.inputs
        inference.inputs = inference.asked.inputs
        if inference.reads_source and source is not None and inference.entity is not None:
            if inference.features is None:
                inference.features = await self.features.fetch(source, inference.entity)
            try:
                fetched = tensors_of(inference.features.features, _all_declared(inference.decision))
            except FeatureMismatchError as error:
                raise FeatureSourceNonsenseError(
                    f"The feature source does not fit the model: {error}.",
                    fix="Correct the feature source, or send all inputs with the request.",
                ) from error
            inference.inputs = merged(inference.asked.inputs, fetched)
        if missing := missing_inputs(declared, inference.inputs):
            raise InputsMissingError(
                f"{inference.served.version.model}/{inference.served.version.number} needs inputs that are not there:"
                f" {', '.join(missing)}.",
                fix="Send them in `inputs`, or name tenant and entity of a model type that has a feature source.",
                missing=list(missing),
            )

    async def _ask(self, inference: Inference) -> Ending:
        served = inference.served
        tensors = declared_inputs(served.endpoint.inputs, inference.inputs)
        answer = await self.endpoints.ask(served, tensors, inference_id=inference.id)
        is_matched = answer.is_by(served.version)
        if not is_matched:
            VERSION_MISMATCHES.labels(served.version.model).inc()
            log.warning(
                "version_mismatched",
                decided=f"{served.version.model}/{served.version.number}",
                answered=f"{answer.model_name}/{answer.model_version}",
            )
        return Ending(
            served=served,
            reason=inference.receipt.reason,
            cache=inference.cache,
            outcome="served",
            version_matched=is_matched,
            entity_version=None if inference.features is None else inference.features.version,
            inputs=inference.inputs,
            outputs=answer.outputs,
            shadow=shadow_of(inference.decision, request_id=inference.id) if is_matched else None,
        )

    async def _fall_back(self, inference: Inference, failure: EndpointFailureError) -> Ending:
        """The answer of the fallback version. Raises `failure` when there is none, or when it fails too."""
        fallback = inference.decision.fallback
        if fallback is None or missing_inputs(fallback.endpoint.inputs, inference.inputs):
            raise failure
        tensors = declared_inputs(fallback.endpoint.inputs, inference.inputs)
        try:
            answer = await self.endpoints.ask(fallback, tensors, inference_id=inference.id)
        except ProblemError as second:
            failure.extra["fallback"] = second.detail
            raise failure from second
        log.warning("prediction_fell_back", inference_id=inference.id, error=failure.code)
        return Ending(
            served=fallback,
            reason=Reason.FELL_BACK,
            cache="bypass",
            outcome="fell_back",
            error=failure.code,
            version_matched=answer.is_by(fallback.version),
            entity_version=None if inference.features is None else inference.features.version,
            inputs=inference.inputs,
            outputs=answer.outputs,
        )

    async def _fill(self, inference: Inference, ending: Ending) -> None:
        if inference.entity is None or inference.lease is None:
            return
        features = inference.features
        field_name = _features_field(inference)
        is_new = features is not None and field_name is not None and not inference.features_were_cached
        fill = Fill(
            prediction=_prediction_field(inference),
            value=CachedAnswer.of(ending).to_bytes(),
            entity_version=None if features is None else features.version,
            source="" if features is None else features.source,
            features=(field_name, features.to_bytes()) if is_new and features and field_name else None,
            # Without declared inputs nobody knows what else the endpoint looks at.
            reads_entity=features is not None or not inference.served.endpoint.inputs,
        )
        await self.cache.fill(inference.entity, inference.lease, fill)

    def _tell(self, inference: Inference, ending: Ending, *, started_s: float) -> None:
        latency_s = self.seconds() - started_s
        PREDICTIONS.labels(ending.served.version.model, ending.outcome, ending.cache).inc()
        PREDICT_SECONDS.labels(ending.cache).observe(latency_s)
        self.facts.record_inference(
            inference.receipt,
            inference.asked.attributes,
            ending,
            inference_id=inference.id,
            latency_ms=latency_s * 1_000,
        )


def _entity_of(attributes: Attributes) -> Entity | None:
    tenant, entity_type, entity_id = attributes.request.tenant, attributes.entity_type, attributes.entity_id
    if tenant is None or entity_type is None or entity_id is None:
        return None
    return Entity(tenant=tenant, entity_type=entity_type, entity_id=entity_id)


def _prediction_field(inference: Inference) -> str:
    version, source = inference.served.version, inference.decision.route.feature_source
    return prediction_field(
        project=inference.receipt.project,
        version_id=version.version_id,
        digest=version.digest,
        endpoint_revision=inference.served.endpoint.revision,
        # The features are not known yet; the lease and the entity's version protect them instead.
        source_revision=source.revision if source is not None and inference.reads_source else None,
        inputs_hash=inputs_hash(inference.asked.inputs),
    )


def _features_field(inference: Inference) -> str | None:
    source = inference.decision.route.feature_source
    if source is None or not inference.reads_source:
        return None
    return features_field(
        project=inference.receipt.project,
        model_type=inference.receipt.model_type,
        source_revision=source.revision,
    )


def _all_declared(decision: Decision) -> Sequence[Feature]:
    """What the served version declares, and what others who may be asked with the same features declare."""
    served, others = decision.served, (decision.shadow, decision.fallback)
    by_name = {feature.name: feature for other in others if other for feature in other.endpoint.inputs}
    by_name.update({feature.name: feature for feature in served.endpoint.inputs})
    return tuple(by_name.values())


def _failed(inference: Inference, *, error: str) -> Ending:
    return Ending(
        served=inference.served,
        reason=inference.receipt.reason,
        cache=inference.cache,
        outcome="failed",
        error=error,
        inputs=inference.inputs,
    )


def _answer(inference: Inference, ending: Ending) -> bytes:
    version = ending.served.version
    parameters: dict[str, Any] = {
        **inference.receipt._asdict(),
        "reason": ending.reason,
        "version_id": version.version_id,
        "cache_identity": ending.served.cache_identity,
        "shadow_version_id": None if ending.shadow is None else ending.shadow.version.version_id,
        "cache": ending.cache,
        "outcome": ending.outcome,
        "version_matched": ending.version_matched,
        "inference_id": inference.id,
    }
    return orjson.dumps(
        {
            "model_name": version.model,
            "model_version": str(version.number),
            "id": inference.asked.id or inference.id,
            "outputs": members_of(ending.outputs),
            "parameters": parameters,
        }
    )
