"""Operations on registered models."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import Response
from modelyard_runtime.permissions import Permission

from modelyard_registry.api import (
    Answer,
    Caller,
    ModelName,
    Project,
    Subject,
    carry_out,
    problems,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.preconditions import etag_of
from modelyard_registry.models.documents import NewRegisteredModel, RegisteredModelDocument, RegisteredModelPage
from modelyard_registry.models.domain import RegisteredModel
from modelyard_registry.models.handlers import create_registered_model
from modelyard_registry.models.list_queries import ModelQuery
from modelyard_registry.models.listing import decode_position, encode_position, model_position, parse_sort
from modelyard_registry.models.listing_store import MODEL_SORTS, list_models, model_keys
from modelyard_registry.models.visibility import get_visible_model, stage_seen_by, without_hidden_aliases
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(tags=["registered models"], route_class=BoundedRoute)


@router.post(
    "/registered-models",
    status_code=201,
    response_model=RegisteredModelDocument,
    responses=problems(409),
    summary="Create a registered model",
    dependencies=[requires(Permission.MODELS_WRITE)],
)
async def post_registered_model(project: Project, body: NewRegisteredModel, call: Caller) -> Response:
    """A name that versions are registered under. Its scope says whom its champion serves."""

    async def work(tx: Transaction) -> Answer:
        created = await create_registered_model(tx, _new_model(tx, body, project=project))
        return Answer(status=201, body=RegisteredModelDocument.of(created))

    subject = Subject(project=project, path=f"registered-models/{body.name}")
    return await carry_out(call, body, work, action=AuditAction.REGISTERED_MODEL_CREATED, subject=subject)


def _new_model(tx: Transaction, body: NewRegisteredModel, *, project: str) -> RegisteredModel:
    return RegisteredModel(
        id=UUID(tx.new_id()),
        project=project,
        **{**body.model_dump(), "higher_is_better": body.direction},
        last_number=0,
        revision=1,
        created_at=tx.now,
        created_by=tx.context.actor,
        updated_at=tx.now,
        aliases={},
    )


@router.get(
    "/registered-models",
    responses=problems(),
    summary="List registered models",
    dependencies=[requires(Permission.MODELS_READ_PRODUCTION)],
)
async def get_registered_models(
    project: Project, call: Caller, query: Annotated[ModelQuery, Query()]
) -> RegisteredModelPage:
    """Keyset paging: a page costs the same however far into the list it is. Whoever may read what is in production only
    gets the models that have a version there."""
    sort = parse_sort(query.sort, known=MODEL_SORTS)
    keys = model_keys(sort)
    after = decode_position(query.page_token, sort, keys)
    async with call.services.database.reading() as connection:
        wanted = replace(query.wanted(project=project), seen_stage=stage_seen_by(call, project=project))
        found = await list_models(connection, wanted, sort, after=after, limit=query.paging.limit)
        rows, token = query.paging.cut(
            found, token=lambda each: encode_position(sort, keys, model_position(each, sort))
        )
        page = await without_hidden_aliases(connection, call, rows, project=project)
    return RegisteredModelPage(items=[RegisteredModelDocument.of(model) for model in page], next_page_token=token)


@router.get(
    "/registered-models/{name}",
    responses=problems(404),
    summary="Get a registered model",
    dependencies=[requires(Permission.MODELS_READ_PRODUCTION)],
)
async def get_registered_model(
    project: Project, name: ModelName, call: Caller, response: Response
) -> RegisteredModelDocument:
    """With its champion and its other aliases. Its revision is its ETag."""
    async with call.services.database.reading() as connection:
        model = await get_visible_model(connection, call, project=project, name=name)
    response.headers.update(etag_of(model.revision))
    return RegisteredModelDocument.of(model)
