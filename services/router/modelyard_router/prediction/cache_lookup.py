"""Looks for an answer in the cache, and fills the cache with a new one.

The look-up takes a lease before anything about the entity is read. An answer that was made from inputs of before a
purge can therefore never be filled after it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

import orjson
from modelyard_events.inferences import RequestedOutput
from modelyard_prediction_cache import Entity, Lease, features_field, inputs_hash, prediction_field

from modelyard_router.adapters.answer_cache import AnswerCache, Fill
from modelyard_router.adapters.feature_source import EntityFeatures
from modelyard_router.domain.cached_answer import CachedAnswer
from modelyard_router.domain.prediction_outcome import BypassReason, CacheStatus, PredictionOutcome
from modelyard_router.prediction.inference import Inference


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHit:
    """The cache has the answer."""

    answer: CachedAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMiss:
    """The cache has no answer, and takes one under this lease. It may have the entity's features."""

    entity: Entity
    lease: Lease
    features: EntityFeatures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheBypass:
    """The cache has no part in this prediction."""

    reason: BypassReason


CacheLookup = CacheHit | CacheMiss | CacheBypass


def status_of(lookup: CacheLookup) -> CacheStatus:
    """The status that callers, facts and metrics see."""
    match lookup:
        case CacheHit():
            return "hit"
        case CacheMiss():
            return "miss"
        case CacheBypass():
            return "bypass"


def bypass_before_lookup(inference: Inference) -> CacheBypass:
    """Why the cache has no part in a prediction whose look-up has not succeeded."""
    if inference.entity is not None:
        return CacheBypass(reason="cache_unavailable")
    return CacheBypass(reason="no_entity" if inference.asked.attributes.entity_id is None else "no_tenant")


async def look_up(cache: AnswerCache, inference: Inference) -> CacheLookup:
    """Return what the cache knows about this request. Trouble with the cache is a bypass."""
    if inference.entity is None:
        return bypass_before_lookup(inference)
    reading = await cache.read(
        inference.entity, prediction=_field_of_prediction(inference), features=_field_of_features(inference)
    )
    if reading is None:
        return bypass_before_lookup(inference)
    cached = None if reading.prediction is None else CachedAnswer.from_bytes(reading.prediction)
    if cached is not None:
        return CacheHit(answer=cached)
    if reading.lease is None:
        return bypass_before_lookup(inference)
    features: EntityFeatures | None = None
    if reading.features is not None:
        with suppress(ValueError):  # Another release wrote them in another form: they are fetched anew.
            features = EntityFeatures.from_bytes(reading.features.value)
    return CacheMiss(entity=inference.entity, lease=reading.lease, features=features)


async def fill(
    cache: AnswerCache,
    inference: Inference,
    miss: CacheMiss,
    outcome: PredictionOutcome,
    *,
    features: EntityFeatures | None,
) -> None:
    """Offer a new answer to the cache, with the entity's features if they were fetched for it."""
    field_name = _field_of_features(inference)
    is_new = features is not None and miss.features is None
    await cache.fill(
        miss.entity,
        miss.lease,
        Fill(
            prediction=_field_of_prediction(inference),
            value=CachedAnswer.of(outcome).to_bytes(),
            entity_version=None if features is None else features.version,
            source="" if features is None else features.source,
            features=(field_name, features.to_bytes()) if is_new and features and field_name else None,
            # An endpoint that declares no inputs may read the entity itself.
            reads_entity=features is not None or not inference.served.endpoint.inputs,
        ),
    )


def _field_of_prediction(inference: Inference) -> str:
    version, source = inference.served.version, inference.decision.route.feature_source
    return prediction_field(
        project=inference.receipt.project,
        version_id=version.version_id,
        digest=version.digest,
        endpoint_revision=inference.served.endpoint.revision,
        output_policy=_output_policy(inference.asked.outputs),
        # The features are not known yet; the lease and the entity's version protect them instead.
        source_revision=source.revision if source is not None and inference.reads_source else None,
        inputs_hash=inputs_hash(inference.asked.inputs),
    )


def _field_of_features(inference: Inference) -> str | None:
    source = inference.decision.route.feature_source
    if source is None or not inference.reads_source:
        return None
    return features_field(
        project=inference.receipt.project,
        model_type=inference.receipt.model_type,
        source_revision=source.revision,
    )


def _output_policy(outputs: Sequence[RequestedOutput]) -> str:
    """Tells answers apart that were asked for with other outputs; empty when all are wanted."""
    if not outputs:
        return ""
    named = orjson.dumps([[output.name, output.parameters] for output in outputs], option=orjson.OPT_SORT_KEYS)
    return sha256(named).hexdigest()
