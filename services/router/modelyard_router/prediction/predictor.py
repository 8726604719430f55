"""Predicts: decide, look in the cache, gather the inputs, ask the endpoint, fill the cache, record what happened."""

import asyncio
from dataclasses import dataclass, field

from modelyard_routing.receipt import shadow_of
from modelyard_runtime.access.principals import Principal
from modelyard_runtime.ids import NewId
from modelyard_runtime.problems import ProblemError
from modelyard_runtime.shares import Shares, ShareUsedUpError
from modelyard_runtime.state.tail import Seconds

from modelyard_router.adapters.answer_cache import AnswerCache
from modelyard_router.adapters.feature_source import FeatureSources
from modelyard_router.adapters.model_endpoint import ModelEndpoints
from modelyard_router.decider import Decider
from modelyard_router.domain.features import refuse_undeclared
from modelyard_router.domain.prediction_outcome import PredictionOutcome
from modelyard_router.domain.prediction_request import PredictionRequest
from modelyard_router.facts import Facts
from modelyard_router.metrics import PREDICT_SECONDS, PREDICTIONS
from modelyard_router.prediction.cache_lookup import (
    CacheHit,
    CacheLookup,
    CacheMiss,
    bypass_before_lookup,
    fill,
    look_up,
    status_of,
)
from modelyard_router.prediction.endpoint_call import ask_decided
from modelyard_router.prediction.fallback import ask_fallbacks
from modelyard_router.prediction.inference import Inference, inference_of
from modelyard_router.prediction.input_gathering import GatheredInputs, gather, refuse_missing
from modelyard_router.problems import EndpointFailureError, used_up

IN_PROGRESS_MAX = 1_024
"""Predictions under way at the same time, of which one project alone may have half."""

SMALL_ELEMENTS = 5_000
"""A step of work on more elements takes longer than about a millisecond: other requests get a turn after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionResult:
    """An answered prediction request."""

    inference: Inference
    outcome: PredictionOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """Predicts for every operation that answers predictions, whatever its protocol."""

    decider: Decider
    cache: AnswerCache
    features: FeatureSources
    endpoints: ModelEndpoints
    facts: Facts
    new_id: NewId
    seconds: Seconds
    in_progress: Shares = field(default_factory=lambda: Shares(places=IN_PROGRESS_MAX))

    async def predict(self, asked: PredictionRequest, *, caller: Principal) -> PredictionResult:
        """Return the answer, and record how the request ended. Raises ProblemError."""
        project = asked.attributes.request.project
        try:
            with self.in_progress.holding(project):
                return await self._predict(asked, caller=caller)
        except ShareUsedUpError as error:
            raise used_up("predictions", project) from error

    async def _predict(self, asked: PredictionRequest, *, caller: Principal) -> PredictionResult:
        started_s = self.seconds()
        inference = self._decided(asked, caller=caller)
        self.facts.record_exposure(inference.decision, inference.receipt, asked.attributes.request)
        outcome = await self._outcome_of(inference)
        if isinstance(outcome, _Failed):
            self._record(inference, outcome.outcome, started_s=started_s)
            raise outcome.problem
        await give_way(asked)
        self._record(inference, outcome, started_s=started_s)
        return PredictionResult(inference=inference, outcome=outcome)

    def _decided(self, asked: PredictionRequest, *, caller: Principal) -> Inference:
        request = asked.attributes.request
        decision = self.decider.decide(request, caller=caller)
        inference_id = self.new_id()
        receipt = self.decider.receipt(decision, request, request_id=inference_id)
        return inference_of(asked, decision, receipt, inference_id=inference_id)

    async def _outcome_of(self, inference: Inference) -> "PredictionOutcome | _Failed":
        """Take the steps one after the other. The outcome of a failure tells how far they came."""
        lookup: CacheLookup = bypass_before_lookup(inference)
        gathered = GatheredInputs()
        try:
            refuse_undeclared(inference.asked.inputs, inference.decision.route.declared)
            lookup = await look_up(self.cache, inference)
            if isinstance(lookup, CacheHit):
                return _outcome_from_cache(inference, lookup)
            gathered = GatheredInputs(tensors=inference.asked.inputs)
            cached = lookup.features if isinstance(lookup, CacheMiss) else None
            gathered = await gather(self.features, inference, cached=cached)
            refuse_missing(inference, gathered)
            try:
                outcome = await ask_decided(self.endpoints, inference, gathered, lookup)
            except EndpointFailureError as failure:
                return await ask_fallbacks(self.endpoints, inference, gathered, failure=failure)
        except ProblemError as problem:
            return _failed(inference, lookup, gathered, problem=problem)
        await give_way(inference.asked)
        if outcome.version_matched and isinstance(lookup, CacheMiss):
            await fill(self.cache, inference, lookup, outcome, features=gathered.features)
        return outcome

    def _record(self, inference: Inference, outcome: PredictionOutcome, *, started_s: float) -> None:
        latency_s = self.seconds() - started_s
        PREDICTIONS.labels(outcome.served.version.model, outcome.outcome, outcome.cache).inc()
        PREDICT_SECONDS.labels(outcome.cache).observe(latency_s)
        self.facts.record_inference(
            inference.receipt,
            inference.asked,
            outcome,
            inference_id=inference.id,
            latency_ms=latency_s * 1_000,
        )


async def give_way(asked: PredictionRequest) -> None:
    """Let other requests have a turn between two steps whose work grows with the request."""
    if sum(len(tensor.data) for tensor in asked.inputs) > SMALL_ELEMENTS:
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    outcome: PredictionOutcome
    problem: ProblemError


def _outcome_from_cache(inference: Inference, hit: CacheHit) -> PredictionOutcome:
    return PredictionOutcome(
        served=inference.served,
        reason=inference.receipt.reason,
        cache="hit",
        outcome="served",
        entity_version=hit.answer.entity_version,
        inputs=hit.answer.inputs,
        outputs=hit.answer.outputs,
        shadow=shadow_of(inference.decision, request_id=inference.id),
    )


def _failed(inference: Inference, lookup: CacheLookup, gathered: GatheredInputs, *, problem: ProblemError) -> _Failed:
    outcome = PredictionOutcome(
        served=inference.served,
        reason=inference.receipt.reason,
        cache=status_of(lookup),
        outcome="failed",
        error=problem.code,
        inputs=gathered.tensors,
    )
    return _Failed(outcome=outcome, problem=problem)
