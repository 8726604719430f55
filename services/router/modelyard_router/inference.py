"""One prediction request on its way: what is known about it, where the cache keeps it, and how it is answered."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

import orjson
from modelyard_events.inferences import RequestedOutput
from modelyard_events.tensors import members_of
from modelyard_events.values import Feature, Tensor
from modelyard_prediction_cache import Entity, Lease, features_field, inputs_hash, prediction_field
from modelyard_routing.decision import Decision, ServableVersion
from modelyard_routing.receipt import Receipt

from modelyard_router.adapters.feature_source import EntityFeatures
from modelyard_router.adapters.model_endpoint import Asked
from modelyard_router.domain.attributes import Attributes
from modelyard_router.domain.features import needs_features
from modelyard_router.domain.prediction_request import PredictionRequest
from modelyard_router.facts import CacheStatus, Ending

BypassReason = Literal["no_entity", "no_tenant", "cache_unavailable", "fell_back"]
"""Why an answer neither came from the cache nor may go there; an entity belongs to a tenant."""


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
    def bypass_reason(self) -> BypassReason:
        """Why the cache has no part in this prediction, when it has none."""
        if self.entity is not None:
            return "cache_unavailable"
        return "no_entity" if self.asked.attributes.entity_id is None else "no_tenant"

    @property
    def served(self) -> ServableVersion:
        """The decided version."""
        return self.decision.served

    @property
    def question(self) -> Asked:
        """What endpoints are asked for, and on whose behalf."""
        tenant = self.asked.attributes.request.tenant
        return Asked(inference_id=self.id, project=self.receipt.project, tenant=tenant, outputs=self.asked.outputs)

    @property
    def reads_source(self) -> bool:
        """Whether the feature source must bring what the request does not."""
        return (
            self.decision.route.feature_source is not None
            and self.entity is not None
            and needs_features(self.served.endpoint.inputs, self.asked.inputs)
        )


def entity_of(attributes: Attributes) -> Entity | None:
    """The entity that the caller names, if it names it wholly."""
    tenant, entity_type, entity_id = attributes.request.tenant, attributes.entity_type, attributes.entity_id
    if tenant is None or entity_type is None or entity_id is None:
        return None
    return Entity(tenant=tenant, entity_type=entity_type, entity_id=entity_id)


def field_of_prediction(inference: Inference) -> str:
    """Where the cache keeps the decided version's answer to this request."""
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


def field_of_features(inference: Inference) -> str | None:
    """Where the cache keeps the entity's features, if any are read."""
    source = inference.decision.route.feature_source
    if source is None or not inference.reads_source:
        return None
    return features_field(
        project=inference.receipt.project,
        model_type=inference.receipt.model_type,
        source_revision=source.revision,
    )


def all_declared(decision: Decision) -> Sequence[Feature]:
    """What the served version declares, and what others who may be asked with the same features declare."""
    served, others = decision.served, (decision.shadow, *reversed(decision.fallbacks))
    by_name = {feature.name: feature for other in others if other for feature in other.endpoint.inputs}
    by_name.update({feature.name: feature for feature in served.endpoint.inputs})
    return tuple(by_name.values())


def failed_ending(inference: Inference, *, error: str) -> Ending:
    """How a request ends that no version answered."""
    return Ending(
        served=inference.served,
        reason=inference.receipt.reason,
        cache=inference.cache,
        outcome="failed",
        error=error,
        inputs=inference.inputs,
    )


def name_of(served: ServableVersion) -> str:
    """A version as people name it."""
    return f"{served.version.model}/{served.version.number}"


def answer_of(inference: Inference, ending: Ending) -> bytes:
    """The answer to the caller: the outputs, with the receipt as parameters."""
    version = ending.served.version
    parameters: dict[str, Any] = {
        **inference.receipt._asdict(),
        "reason": ending.reason,
        "version_id": version.version_id,
        "cache_identity": ending.served.cache_identity,
        "shadow_version_id": None if ending.shadow is None else ending.shadow.version.version_id,
        "cache": ending.cache,
        "cache_reason": _cache_reason(inference, ending),
        "outcome": ending.outcome,
        "fell_back_from": name_of(inference.served) if ending.outcome == "fell_back" else None,
        "fell_back_to": name_of(ending.served) if ending.outcome == "fell_back" else None,
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


def _cache_reason(inference: Inference, ending: Ending) -> BypassReason | None:
    if ending.cache != "bypass":
        return None
    return "fell_back" if ending.outcome == "fell_back" else inference.bypass_reason


def _output_policy(outputs: Sequence[RequestedOutput]) -> str:
    """Tells answers apart that were asked for with other outputs; empty when all are wanted."""
    if not outputs:
        return ""
    named = orjson.dumps([[output.name, output.parameters] for output in outputs], option=orjson.OPT_SORT_KEYS)
    return sha256(named).hexdigest()
