"""The HTTP door to routing: the documents, and the settings that people change."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from modelyard_events.limits import TIMEOUT_S_MIN
from modelyard_events.routes import RouteChanged, SelectionPolicy
from modelyard_events.values import Slug
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.problems import NotFoundError
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from modelyard_registry.api import (
    Answer,
    Caller,
    Project,
    Request,
    Subject,
    carry_out,
    problems,
    refuse_unless_outbound,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Page, Paging
from modelyard_registry.routes import settings_rules as rules
from modelyard_registry.routes import store
from modelyard_registry.routes.domain import RouteSettings
from modelyard_registry.routes.handlers import Change, change_route_settings
from modelyard_registry.routes.known_types import TypeCheck, refuse_unknown_route, refuse_unknown_type
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(prefix="/routes", tags=["routes"], route_class=BoundedRoute)

ModelType = Annotated[Slug, Path(description="The model type whose routing it is.", examples=["loan-risk"])]
Tenant = Annotated[Slug | None, Query(description="One tenant; without it the whole model type.", examples=["CA"])]

EXAMPLE: dict[str, JsonValue] = {
    "url_template": "https://loans.example/features/{tenant}/{entity_type}/{entity_id}",
    "timeout_s": 1.0,
}


class RouteNotFoundError(NotFoundError):
    """The project routes nothing of this model type yet."""

    code = "route-not-found"
    when = "The project has no route of this model type yet."
    fix = "Promote a version of that model type to canary or production, or set its policy."


class Routes(Page[RouteChanged]):
    """A page of routing documents, by model type."""


class FeatureSourceBody(Request):
    """Where the router reads an entity's features when a request does not bring them.

    `url_template` may contain `{tenant}`, `{entity_type}` and `{entity_id}` (required) after the host.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    url_template: Annotated[str, Field(min_length=1, max_length=rules.URL_LENGTH_MAX)]
    timeout_s: Annotated[float, Field(ge=TIMEOUT_S_MIN, le=60)] = 1.0


class PolicyBody(Request):
    """When an industry champion serves instead of the global one: more than both of these."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"training_examples_min": 3000, "improvement_min": 0.05}]}
    )

    training_examples_min: Annotated[int, Field(ge=0, le=10**12)]
    improvement_min: Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False)]


class ShadowSampleBody(Request):
    """The share of requests that the shadow gets a copy of, in basis points."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sample_bp": 1000}]})

    sample_bp: Annotated[int, Field(ge=0, le=10_000)]


class KillSwitchBody(Request):
    """Why everyone is sent back to the global champion."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "treatment answers nonsense"}]})

    reason: Annotated[str, Field(min_length=1, max_length=1_000)]


@router.get(
    "",
    summary="List the routing documents of a project",
    responses=problems(),
    dependencies=[requires(Permission.MODELS_READ)],
)
async def list_routes(call: Caller, paging: Paging, project: Project) -> Routes:
    """The newest document of each model type, as the router gets it."""
    after = paging.after(str) or ""
    async with call.services.database.reading() as connection:
        found = await store.list_documents(connection, project=project, after=after, limit=paging.limit)
    return paging.page(Routes, found, of=lambda each: each, key=lambda each: each.model_type)


@router.get(
    "/{model_type}",
    summary="Get a routing document",
    responses=problems(404),
    dependencies=[requires(Permission.MODELS_READ)],
)
async def get_route(call: Caller, project: Project, model_type: ModelType) -> RouteChanged:
    """The newest document, as the router gets it: versions, champions, experiments and settings."""
    async with call.services.database.reading() as connection:
        found = await store.find_document(connection, project=project, model_type=model_type)
    if found is None:
        raise RouteNotFoundError(f"The project {project} has no route of model type {model_type}.")
    return found


@router.put(
    "/{model_type}/policy",
    summary="Say when an industry champion serves",
    response_model=RouteChanged,
    responses=problems(404, 409),
    dependencies=[requires(Permission.ROUTES_WRITE)],
)
async def set_policy(call: Caller, project: Project, model_type: ModelType, body: PolicyBody) -> Response:
    """Takes effect with the next document; answers that document."""

    def change(settings: RouteSettings) -> RouteSettings:
        return replace(settings, policy=SelectionPolicy.model_validate(body.model_dump()))

    return await _change(
        call, body, change, project=project, model_type=model_type, action=AuditAction.ROUTE_POLICY_SET
    )


@router.put(
    "/{model_type}/feature-source",
    summary="Say where features come from; null takes the source away",
    response_model=RouteChanged,
    responses=problems(404, 409),
    dependencies=[requires(Permission.ROUTES_WRITE)],
)
async def set_feature_source(
    call: Caller, project: Project, model_type: ModelType, body: FeatureSourceBody | None
) -> Response:
    """A changed source has a new revision, so that features of the one before are not taken from caches."""

    def change(settings: RouteSettings) -> RouteSettings:
        if body is None:
            return rules.without_feature_source(settings)
        changed = rules.with_feature_source(settings, url_template=body.url_template, timeout_s=body.timeout_s)
        refuse_unless_outbound(call, body.url_template)
        return changed

    return await _change(
        call,
        body,
        change,
        project=project,
        model_type=model_type,
        action=AuditAction.ROUTE_FEATURE_SOURCE_SET,
        refuse_unknown=refuse_unknown_route if body is None else refuse_unknown_type,
    )


@router.put(
    "/{model_type}/shadow-sample",
    summary="Say what share of requests is replayed on the shadow",
    response_model=RouteChanged,
    responses=problems(404, 409),
    dependencies=[requires(Permission.ROUTES_WRITE)],
)
async def set_shadow_sample(call: Caller, project: Project, model_type: ModelType, body: ShadowSampleBody) -> Response:
    """Takes effect with the next document; answers that document."""

    def change(settings: RouteSettings) -> RouteSettings:
        return replace(settings, shadow_sample_bp=body.sample_bp)

    return await _change(
        call, body, change, project=project, model_type=model_type, action=AuditAction.ROUTE_SHADOW_SAMPLE_SET
    )


@router.put(
    "/{model_type}/kill-switch",
    summary="Send everyone, or one tenant, back to the global champion",
    response_model=RouteChanged,
    responses=problems(404, 409),
    dependencies=[requires(Permission.ROUTES_WRITE)],
)
async def set_kill_switch(
    call: Caller, project: Project, model_type: ModelType, body: KillSwitchBody, tenant: Tenant = None
) -> Response:
    """Experiments and the champions of industries and tenants are passed over until it is taken back."""

    def change(settings: RouteSettings) -> RouteSettings:
        return rules.with_kill_switch(settings, tenant=tenant, reason=body.reason)

    return await _change(
        call,
        body,
        change,
        project=project,
        model_type=model_type,
        action=AuditAction.ROUTE_KILL_SWITCH_SET,
        reason=body.reason,
    )


@router.delete(
    "/{model_type}/kill-switch",
    summary="Take a kill switch back",
    response_model=RouteChanged,
    responses=problems(404, 409),
    dependencies=[requires(Permission.ROUTES_WRITE)],
)
async def clear_kill_switch(call: Caller, project: Project, model_type: ModelType, tenant: Tenant = None) -> Response:
    """Selection decides again; answers the new document."""

    def change(settings: RouteSettings) -> RouteSettings:
        return rules.without_kill_switch(settings, tenant=tenant)

    return await _change(
        call,
        None,
        change,
        project=project,
        model_type=model_type,
        action=AuditAction.ROUTE_KILL_SWITCH_CLEARED,
        refuse_unknown=refuse_unknown_route,
    )


async def _change(
    call: Caller,
    body: BaseModel | None,
    change: Change,
    *,
    project: str,
    model_type: str,
    action: AuditAction,
    reason: str | None = None,
    refuse_unknown: TypeCheck = refuse_unknown_type,
) -> Response:
    async def work(tx: Transaction) -> Answer:
        await refuse_unknown(tx.connection, project=project, model_type=model_type)
        document = await change_route_settings(
            tx, change, project=project, model_type=model_type, action=action, reason=reason
        )
        return Answer(status=200, body=document)

    subject = Subject(project=project, path=f"routes/{model_type}")
    return await carry_out(call, body, work, action=action, subject=subject)
