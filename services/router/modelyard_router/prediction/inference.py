"""A prediction request for which a version is decided: what every later step reads, and none changes."""

from dataclasses import dataclass

from modelyard_prediction_cache import Entity
from modelyard_routing.decision import RouteDecision, ServableVersion
from modelyard_routing.receipt import Receipt

from modelyard_router.adapters.model_endpoint import EndpointRequest
from modelyard_router.domain.attributes import Attributes
from modelyard_router.domain.features import needs_features
from modelyard_router.domain.prediction_request import PredictionRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """One decided prediction request.

    `entity` is None unless the caller names it wholly. `reads_source` says whether the feature source must bring
    inputs that the request does not.
    """

    id: str
    asked: PredictionRequest
    decision: RouteDecision
    receipt: Receipt
    entity: Entity | None
    reads_source: bool

    @property
    def served(self) -> ServableVersion:
        """The decided version."""
        return self.decision.served

    @property
    def endpoint_request(self) -> EndpointRequest:
        """What endpoints are asked for, and on whose behalf."""
        tenant = self.asked.attributes.request.tenant
        return EndpointRequest(
            inference_id=self.id, project=self.receipt.project, tenant=tenant, outputs=self.asked.outputs
        )


def inference_of(
    asked: PredictionRequest, decision: RouteDecision, receipt: Receipt, *, inference_id: str
) -> Inference:
    """Return the request with its decision, ready for the steps of a prediction."""
    entity = _entity_of(asked.attributes)
    return Inference(
        id=inference_id,
        asked=asked,
        decision=decision,
        receipt=receipt,
        entity=entity,
        reads_source=(
            decision.route.feature_source is not None
            and entity is not None
            and needs_features(decision.served.endpoint.inputs, asked.inputs)
        ),
    )


def name_of(served: ServableVersion) -> str:
    """A version as people name it."""
    return f"{served.version.model}/{served.version.number}"


def _entity_of(attributes: Attributes) -> Entity | None:
    tenant, entity_type, entity_id = attributes.request.tenant, attributes.entity_type, attributes.entity_id
    if tenant is None or entity_type is None or entity_id is None:
        return None
    return Entity(tenant=tenant, entity_type=entity_type, entity_id=entity_id)
