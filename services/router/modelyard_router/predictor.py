"""Predicting: decide, look in the cache, get the features, ask the endpoint, fill the cache, answer, tell.

The order keeps the cache honest: its lease is taken before anything about the entity is read, so that an
answer made from inputs of before a purge can never be filled after it.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from modelyard_events.tensors import TensorError, as_declared
from modelyard_events.values import Tensor
from modelyard_routing.decision import Reason, ServableVersion
from modelyard_routing.receipt import shadow_of
from modelyard_runtime.ids import NewId
from modelyard_runtime.principals import Principal
from modelyard_runtime.problems import InvalidRequestError, ProblemError
from modelyard_runtime.shares import Shares, ShareUsedUpError
from modelyard_runtime.state_tail import Seconds

from modelyard_router.adapters.answer_cache import AnswerCache, Fill
from modelyard_router.adapters.feature_source import EntityFeatures, FeatureSources
from modelyard_router.adapters.model_endpoint import ModelEndpoints
from modelyard_router.domain.cached_answer import CachedAnswer
from modelyard_router.domain.features import (
    FeatureMismatchError,
    merged,
    missing_inputs,
    refuse_undeclared,
    tensors_of,
)
from modelyard_router.domain.open_inference import InferenceAnswer
from modelyard_router.domain.prediction_request import PredictionRequest, prediction_request_of, requested
from modelyard_router.facts import Ending, Facts
from modelyard_router.handlers import Handlers, json_of, refuse_unless_may_predict
from modelyard_router.inference import (
    Inference,
    all_declared,
    answer_of,
    entity_of,
    failed_ending,
    field_of_features,
    field_of_prediction,
    name_of,
)
from modelyard_router.metrics import PREDICT_SECONDS, PREDICTIONS, VERSION_MISMATCHES
from modelyard_router.problems import (
    EndpointFailureError,
    FeatureSourceNonsenseError,
    InputsMissingError,
    OutputsMissingError,
    used_up,
)

IN_PROGRESS_MAX = 1_024
"""Predictions under way together, of which a project alone may have half."""

SMALL_BODY_BYTES = 64 * 1024
SMALL_ELEMENTS = 5_000
"""A step of work on more than this takes longer than about a millisecond: others have a turn after it."""

log = structlog.get_logger()


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
    in_progress: Shares = field(default_factory=lambda: Shares(places=IN_PROGRESS_MAX))

    async def predict(self, body: bytes, caller: Principal) -> bytes:
        """The answer to a request of the Open Inference Protocol v2. Raises ProblemError."""
        refuse_unless_may_predict(caller)
        document = json_of(body)
        if len(body) > SMALL_BODY_BYTES:
            await asyncio.sleep(0)
        asked = prediction_request_of(document)
        await _give_way(asked)
        project = asked.attributes.request.project
        try:
            with self.in_progress.holding(project):
                return await self._predict(asked, caller=caller)
        except ShareUsedUpError as error:
            raise used_up("predictions", project) from error

    async def _predict(self, asked: PredictionRequest, *, caller: Principal) -> bytes:
        started_s = self.seconds()
        inference = self._begin(asked, caller=caller)
        request = inference.asked.attributes.request
        self.facts.record_exposure(inference.decision, inference.receipt, request)
        try:
            ending = await self._end(inference)
        except ProblemError as problem:
            self._tell(inference, failed_ending(inference, error=problem.code), started_s=started_s)
            raise
        await _give_way(inference.asked)
        self._tell(inference, ending, started_s=started_s)
        return answer_of(inference, ending)

    def _begin(self, asked: PredictionRequest, *, caller: Principal) -> Inference:
        attributes = asked.attributes
        decision = self.handlers.decide(attributes.request, caller=caller)
        inference_id = self.new_id()
        return Inference(
            id=inference_id,
            asked=asked,
            decision=decision,
            receipt=self.handlers.receipt(decision, attributes.request, request_id=inference_id),
            entity=entity_of(attributes),
        )

    async def _end(self, inference: Inference) -> Ending:
        refuse_undeclared(inference.asked.inputs, inference.decision.route.declared)
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
        await _give_way(inference.asked)
        if ending.version_matched:
            await self._fill(inference, ending)
        return ending

    async def _look_up(self, inference: Inference) -> CachedAnswer | None:
        """What the cache knows; on a miss the lease, which is taken before anything is read."""
        if inference.entity is None:
            return None
        reading = await self.cache.read(
            inference.entity, prediction=field_of_prediction(inference), features=field_of_features(inference)
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
            with suppress(ValueError):  # Another release wrote them in another form: they are fetched anew.
                inference.features = EntityFeatures.from_bytes(reading.features.value)
                inference.features_were_cached = True
        return None

    async def _gather(self, inference: Inference) -> None:
        """Put all features in hand into `inputs`. Raises InputsMissingError, or what the source raises."""
        source, declared = inference.decision.route.feature_source, inference.served.endpoint.inputs
        inference.inputs = inference.asked.inputs
        if inference.reads_source and source is not None and inference.entity is not None:
            if inference.features is None:
                inference.features = await self.features.fetch(
                    source, inference.entity, project=inference.receipt.project
                )
            try:
                fetched = tensors_of(inference.features.features, all_declared(inference.decision))
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
        try:
            tensors = as_declared(inference.inputs, served.endpoint.inputs)
        except TensorError as error:
            raise InvalidRequestError(f"Input {error}.", fix=error.fix) from error
        answer, outputs = await self._answered(inference, served, tensors)
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
            outputs=outputs,
            shadow=shadow_of(inference.decision, request_id=inference.id) if is_matched else None,
        )

    async def _answered(
        self, inference: Inference, version: ServableVersion, tensors: tuple[Tensor, ...]
    ) -> tuple[InferenceAnswer, tuple[Tensor, ...]]:
        """The version's answer, and those of its outputs that the caller wants. Raises ProblemError."""
        wanted = inference.asked.outputs
        answer = await self.endpoints.ask(version, tensors, asked=inference.question)
        try:
            return answer, requested(wanted, answer.outputs)
        except KeyError as error:
            name, has = error.args[0], ", ".join(tensor.name for tensor in answer.outputs[:20])
            raise OutputsMissingError(
                f"{version.version.model}/{version.version.number} answered no output {name:.100}.",
                fix=f"Ask for others in `outputs`, or leave it out to get all. It answered: {has}.",
            ) from error

    async def _fall_back(self, inference: Inference, failure: EndpointFailureError) -> Ending:
        """The answer of the first fallback that has one. Raises `failure` when there is none, or when all fail too."""
        others: list[str] = []
        for fallback in inference.decision.fallbacks:
            if missing_inputs(fallback.endpoint.inputs, inference.inputs):
                continue
            try:
                return await self._ask_instead(inference, fallback, failure)
            except (ProblemError, TensorError) as another:
                others.append(another.detail if isinstance(another, ProblemError) else f"Input {another}.")
        if others:
            failure.extra["fallback"] = " ".join(others)
        raise failure

    async def _ask_instead(
        self, inference: Inference, fallback: ServableVersion, failure: EndpointFailureError
    ) -> Ending:
        tensors = as_declared(inference.inputs, fallback.endpoint.inputs)
        answer, outputs = await self._answered(inference, fallback, tensors)
        log.warning(
            "prediction_fell_back",
            inference_id=inference.id,
            error=failure.code,
            version=name_of(inference.served),
            fallback=name_of(fallback),
        )
        return Ending(
            served=fallback,
            reason=Reason.FELL_BACK,
            cache="bypass",
            outcome="fell_back",
            error=failure.code,
            version_matched=answer.is_by(fallback.version),
            entity_version=None if inference.features is None else inference.features.version,
            inputs=inference.inputs,
            outputs=outputs,
        )

    async def _fill(self, inference: Inference, ending: Ending) -> None:
        if inference.entity is None or inference.lease is None:
            return
        features = inference.features
        field_name = field_of_features(inference)
        is_new = features is not None and field_name is not None and not inference.features_were_cached
        fill = Fill(
            prediction=field_of_prediction(inference),
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
            inference.asked,
            ending,
            inference_id=inference.id,
            latency_ms=latency_s * 1_000,
        )


async def _give_way(asked: PredictionRequest) -> None:
    """Let others have a turn between two steps whose work grows with the request."""
    if sum(len(tensor.data) for tensor in asked.inputs) > SMALL_ELEMENTS:
        await asyncio.sleep(0)
