"""The API by ids: registered models."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import Response
from modelyard_runtime.access.permissions import Permission

from modelyard_registry.api import (
    Answer,
    Caller,
    Subject,
    carry_out,
    problems,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Paging
from modelyard_registry.compatibility import store
from modelyard_registry.compatibility.documents import (
    ModelDocument,
    ModelPage,
    ModelWithVersions,
    NewModel,
    SummaryDocument,
    VersionDocument,
)
from modelyard_registry.compatibility.registration import in_project, new_model
from modelyard_registry.compatibility.request_project import Where, requires_there
from modelyard_registry.models.handlers import create_registered_model
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

BEYOND_NUMBERS = 2**31 - 1

router = APIRouter(prefix="/api/v1/registry/models", tags=["other registries: by id"], route_class=BoundedRoute)


@router.post(
    "",
    status_code=201,
    response_model=ModelDocument,
    responses=problems(409),
    summary="Create a model",
    dependencies=[requires_there(Permission.MODELS_WRITE)],
)
async def post_model(project: Where, body: NewModel, call: Caller) -> Response:
    """A name that versions are registered under."""

    async def work(tx: Transaction) -> Answer:
        created = await create_registered_model(tx, new_model(tx, body, project=project))
        found = await store.get_model_by_id(tx.connection, project=project, model_id=created.id)
        return Answer(status=201, body=ModelDocument.of(found))

    subject = Subject(project=project, path=f"registered-models/{body.name}")
    return await carry_out(
        in_project(call, project), body, work, action=AuditAction.REGISTERED_MODEL_CREATED, subject=subject
    )


@router.get(
    "", responses=problems(), summary="List models by name", dependencies=[requires_there(Permission.MODELS_READ)]
)
async def get_models(
    project: Where,
    call: Caller,
    paging: Paging,
    search: Annotated[
        str | None, Query(min_length=1, max_length=100, description="Only models whose name contains this.")
    ] = None,
) -> ModelPage:
    """The project's models, page by page."""
    after = paging.after(str)
    async with call.services.database.reading() as connection:
        found = await store.list_models(
            connection,
            project=project,
            after=after or "",
            search=search,
            limit=paging.limit,
        )
    return paging.page(ModelPage, found, of=ModelDocument.of, key=lambda each: each.name)


@router.get(
    "/summary",
    responses=problems(),
    summary="Count models and versions",
    dependencies=[requires_there(Permission.MODELS_READ)],
)
async def get_summary(project: Where, call: Caller) -> SummaryDocument:
    """Of one project."""
    async with call.services.database.reading() as connection:
        return SummaryDocument.of(await store.summarise(connection, project=project))


@router.get(
    "/{model_id}",
    responses=problems(404),
    summary="Get a model with its versions",
    dependencies=[requires_there(Permission.MODELS_READ)],
)
async def get_model(project: Where, model_id: UUID, call: Caller) -> ModelWithVersions:
    """The newest versions first."""
    async with call.services.database.reading() as connection:
        model = await store.get_model_by_id(connection, project=project, model_id=model_id)
        versions = await store.list_versions(
            connection,
            project=project,
            model_id=model_id,
            before=BEYOND_NUMBERS,
            stages=None,
            limit=store.VERSIONS_MAX,
        )
    return ModelWithVersions.of_all(model, [VersionDocument.of(version) for version in versions])
