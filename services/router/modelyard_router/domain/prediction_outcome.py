"""How a prediction request ended: which version answered with what, or why none did."""

from dataclasses import dataclass
from typing import Literal

from modelyard_events.values import Tensor
from modelyard_routing.decision import ServableVersion

CacheStatus = Literal["hit", "miss", "bypass"]

BypassReason = Literal["no_entity", "no_tenant", "cache_unavailable", "fell_back"]
"""Why an answer neither came from the cache nor may go there. An entity belongs to a tenant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionOutcome:
    """How a prediction request ended.

    `served` is the version that answered, or the decided one if none did. `cache_reason` is set when `cache` is
    `bypass`. `error` is the code of the failure, also when a fallback answered. `shadow` is the version that gets a
    copy of the request.
    """

    served: ServableVersion
    reason: str
    cache: CacheStatus
    cache_reason: BypassReason | None = None
    outcome: Literal["served", "fell_back", "failed"]
    error: str | None = None
    version_matched: bool = True
    entity_version: int | None = None
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    shadow: ServableVersion | None = None
