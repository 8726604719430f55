"""Decides which version answers a request. The rules apply in this order:

1. A quarantined version is never served.
2. An explicit version or alias wins if it is routable.
3. A kill switch sends the caller to the global champion.
4. A running experiment that covers the caller and takes its unit in; its control stays pinned.
5. The tenant's own champion, 6. the industry's champion if it is worth it, 7. the global champion.
"""

from modelyard_routing.bucketing import unit_key
from modelyard_routing.decision import Refusal, RefusalCode, RouteDecision, RouteRequest
from modelyard_routing.route import Answer, CompiledExperiment, Route, no_route
from modelyard_routing.routing_table import RoutingTable


def decide(table: RoutingTable, request: RouteRequest) -> RouteDecision | Refusal:
    """Return the decision, or the refusal that says why no version answers."""
    # This runs for every request and is measured in nanoseconds, so it unpacks once and looks up little.
    project, model_type, model, tenant, industry, unit_id, unit_type, version, alias = request
    route = table.routes.get((project, model_type)) if model_type is not None else None
    if route is None or model is not None:
        found = _route_of(table, request)
        if isinstance(found, Refusal):
            return found
        route = found
    if version is not None or alias is not None:
        return _explicit(route, request)
    if route.is_killed or tenant in route.killed_tenants:
        return route.killed_for(tenant, industry)
    if route.experiments:
        assigned = _assigned(route.experiments, tenant, industry, unit_id, unit_type)
        if assigned is not None:
            return assigned
    if tenant is not None and tenant in route.tenants:
        return route.tenant_champions.get(tenant) or route.behind_tenant(tenant, industry)
    if industry is not None and industry in route.industry_champions:
        return route.industry_champions[industry]
    return route.global_champion


def _assigned(
    experiments: tuple[CompiledExperiment, ...],
    tenant: str | None,
    industry: str | None,
    unit_id: str | None,
    unit_type: str,
) -> RouteDecision | None:
    unit: bytes | None = None
    for experiment in experiments:
        if experiment.tenants and tenant not in experiment.tenants:
            continue
        if experiment.industries and industry not in experiment.industries:
            continue
        if not unit_id:
            # Not hashed: all callers without an id would fall into one bucket, and get the same variant.
            return experiment.without_unit
        if unit is None:
            unit = unit_key(tenant=tenant, unit_id=unit_id, unit_type=unit_type)
        if experiment.traffic.takes(unit):
            return experiment.treatment if experiment.treated.takes(unit) else experiment.control
    return None


def _route_of(table: RoutingTable, request: RouteRequest) -> Route | Refusal:
    model_type = request.model_type
    if request.model is not None:
        of_model = table.model_types.get((request.project, request.model))
        if of_model is None:
            return no_route(
                f"No version of model {request.model} in project {request.project} is known to the router as routable."
            )
        if model_type is not None and model_type != of_model:
            return no_route(f"Model {request.model} is of model type {of_model}, not {model_type}.")
        model_type = of_model
    route = table.routes.get((request.project, model_type)) if model_type is not None else None
    if route is None:
        return no_route(f"Project {request.project} has no route for model type {model_type}.")
    return route


def _explicit(route: Route, request: RouteRequest) -> Answer:
    model, version, alias = request.model, request.version, request.alias
    if model is None:
        return Refusal(
            code=RefusalCode.VERSION_NOT_ROUTABLE,
            detail="A version or alias belongs to a registered model, and the request names none.",
            fix="Send `model` with `version` or `alias`.",
        )
    if version is None and alias is not None:
        return route.forced_aliases.get((model, alias)) or Refusal(
            code=RefusalCode.UNKNOWN_ALIAS,
            detail=f"No routable version of {model} has the alias {alias}.",
            fix="Set the alias on a version in canary or production, or ask without an alias.",
        )
    found = (
        route.forced_numbers.get((model, version))
        if isinstance(version, int)
        else route.forced_semvers.get((model, str(version)))
    )
    return found or Refusal(
        code=RefusalCode.VERSION_NOT_ROUTABLE,
        detail=f"{model} {version} is not known to the router as routable: it is neither in canary or production nor in"
        " a running experiment, or there is no such version.",
        fix="Look it up in the registry; move it to canary or production, or ask for another one.",
    )
