"""The receipt: why this version answered this request. It is flat, so that it fits a log line or a table row."""

from typing import NamedTuple

from modelyard_routing.bucketing import part, unit_hash, unit_key
from modelyard_routing.decision import Reason, RouteDecision, RouteRequest, ServableVersion
from modelyard_routing.passed_over import PassedOver


class Receipt(NamedTuple):
    """The reason, the document and the unit of a decision. A member that does not apply is None.

    `propensity` is the probability that a unit of the experiment gets this variant.
    `variant` is None when an experiment's control answers without a unit: such an answer stays out of
    the analysis. `passed_over` says which versions would have answered before this one, and why none does.
    `cache_identity` is what cached answers of this version depend on besides their inputs.
    """

    reason: Reason
    project: str
    model_type: str
    route_revision: int
    generation: int
    version_id: str
    cache_identity: str
    experiment: str | None
    experiment_id: str | None
    variant: str | None
    propensity: float | None
    fallback_version_id: str | None
    shadow_version_id: str | None
    unit_hash: str | None
    passed_over: tuple[PassedOver, ...] = ()


def receipt_of(decision: RouteDecision, request: RouteRequest, *, request_id: str, secret: bytes = b"") -> Receipt:
    """Return the receipt of a decision for one request.

    `request_id` decides, together with the route's sampling, whether the shadow gets a copy; `secret`
    keys the unit's hash.
    """
    shadow = shadow_of(decision, request_id=request_id)
    return Receipt(
        *decision.receipt_facts,
        shadow.version.version_id if shadow is not None else None,
        hash_of_unit(request, secret=secret),
        decision.passed_over,
    )


def hash_of_unit(request: RouteRequest, *, secret: bytes = b"") -> str | None:
    """Return the hash that stands for the request's unit, or None when it names none."""
    if not request.unit_id:
        return None
    unit = unit_key(tenant=request.tenant, unit_id=request.unit_id, unit_type=request.unit_type)
    return unit_hash(unit, secret=secret)


def shadow_of(decision: RouteDecision, *, request_id: str) -> ServableVersion | None:
    """Return the version that gets a copy of this request, or None. The same request always gets the same result."""
    sample = decision.shadow_sample
    if decision.shadow is None or not (sample.is_whole or sample.takes(part(request_id))):
        return None
    return decision.shadow
