"""The values of a decision: request, decision, refusal. Decisions are compiled once for each route and shared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from modelyard_events.registry import ExperimentVariant
from modelyard_events.routes import FeatureSource, RoutableVersion, RunningExperiment
from modelyard_events.values import Datatype, Endpoint

from modelyard_routing.allocation import Share
from modelyard_routing.bucketing import UNIT_TYPE_DEFAULT
from modelyard_routing.passed_over import PassedOver


class Reason(StrEnum):
    """Why this version answers."""

    FORCED_VERSION = "forced_version"
    FORCED_ALIAS = "forced_alias"
    KILL_SWITCH = "kill_switch"
    EXPERIMENT = "experiment"
    NO_UNIT = "no_unit"
    TENANT_CHAMPION = "tenant_champion"
    INDUSTRY_CHAMPION = "industry_champion"
    GLOBAL_CHAMPION = "global_champion"
    FELL_BACK = "fell_back"


class RefusalCode(StrEnum):
    """Why no version answers."""

    NO_ROUTE = "no_route"
    VERSION_NOT_ROUTABLE = "version_not_routable"
    UNKNOWN_ALIAS = "unknown_alias"
    VERSION_QUARANTINED = "version_quarantined"
    ENDPOINT_MISSING = "endpoint_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No version may answer. `detail` says why, `fix` what the caller or an operator can do."""

    code: RefusalCode
    detail: str
    fix: str
    passed_over: tuple[PassedOver, ...] = ()


class RouteRequest(NamedTuple):
    """The routing attributes of a request: who asks, and which version it asks for.

    `project` with `model_type`, or with `model`, names the route. `version` (a number or a semantic
    version) and `alias` belong to `model`. Without `unit_id` there is no unit. It is a tuple, because one is made
    for every request and a frozen dataclass takes three times as long.
    """

    project: str
    model_type: str | None = None
    model: str | None = None
    tenant: str | None = None
    industry: str | None = None
    unit_id: str | None = None
    unit_type: str = UNIT_TYPE_DEFAULT
    version: int | str | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServableVersion:
    """A routable version that is not quarantined and has an endpoint.

    `cache_identity` names everything that this version's answers depend on besides the inputs.
    """

    version: RoutableVersion
    endpoint: Endpoint
    cache_identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFacts:
    """The document of a decision, and what it says about all versions of the route.

    `generation` and `revision` order the documents of a route. `declared` are the datatypes of each input that
    any of the versions declares; None when one of them declares none, and so takes every input.
    """

    project: str
    model_type: str
    generation: int
    revision: int
    feature_source: FeatureSource | None = None
    declared: Mapping[str, frozenset[Datatype]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RouteDecision:
    """The version that answers, with everything that does not depend on the request.

    Compiled once: requests that are answered alike get the same object, so that identity is equality
    and a reader may keep what it derives from one. `variant` and `propensity` are set when an
    experiment assigned a unit; `experiment` also when its control answers a request without a unit.
    `fallbacks` answer in its place, in this order, when its endpoint fails. `shadow` is the version that may get a
    copy, subject to the route's sampling. `passed_over` are those that come before the served version in the order
    of rules, and do not answer.
    """

    route: RouteFacts
    served: ServableVersion
    reason: Reason
    experiment: RunningExperiment | None = None
    variant: ExperimentVariant | None = None
    propensity: float | None = None
    fallbacks: tuple[ServableVersion, ...] = ()
    shadow: ServableVersion | None = None
    shadow_sample: Share
    passed_over: tuple[PassedOver, ...] = ()
    receipt_facts: "ReceiptFacts" = field(init=False)

    def __post_init__(self) -> None:
        experiment, fallback = self.experiment, next(iter(self.fallbacks), None)
        facts = (
            self.reason,
            self.route.project,
            self.route.model_type,
            self.route.revision,
            self.route.generation,
            self.served.version.version_id,
            self.served.cache_identity,
            experiment.key if experiment is not None else None,
            experiment.experiment_id if experiment is not None else None,
            self.variant.name if self.variant is not None else None,
            self.propensity,
            fallback.version.version_id if fallback is not None else None,
        )
        object.__setattr__(self, "receipt_facts", facts)


ReceiptFacts = tuple[
    Reason,
    str,
    str,
    int,
    int,
    str,
    str,
    str | None,
    str | None,
    str | None,
    float | None,
    str | None,
]
"""The members of a receipt that do not depend on the request, in its order."""
