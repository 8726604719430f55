"""The lists of registered models and of versions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from modelyard_runtime.access.permissions import Permission

from modelyard_registry.api import Caller, ModelName, Project, problems, requires
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.models.documents import (
    ModelVersionDocument,
    ModelVersionPage,
    RegisteredModelDocument,
    RegisteredModelPage,
)
from modelyard_registry.models.visibility import get_visible_model, stage_seen_by, without_hidden_aliases
from modelyard_registry.search.queries import ModelQuery, ProjectVersionQuery, VersionQuery
from modelyard_registry.search.sorting import (
    decode_position,
    encode_position,
    model_position,
    parse_sort,
    version_position,
)
from modelyard_registry.search.store import (
    MODEL_SORTS,
    PROJECT_VERSION_SORTS,
    VERSION_SORTS,
    VersionFilter,
    list_models,
    list_versions,
    model_keys,
    version_keys,
)
from modelyard_registry.transactions.database import Connection

router = APIRouter(route_class=BoundedRoute)


@router.get(
    "/registered-models",
    responses=problems(),
    summary="List registered models",
    tags=["registered models"],
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
    "/registered-models/{name}/versions",
    responses=problems(404),
    summary="List versions, newest first",
    tags=["model versions"],
    dependencies=[requires(Permission.MODELS_READ_PRODUCTION)],
)
async def get_versions(
    project: Project, name: ModelName, call: Caller, query: Annotated[VersionQuery, Query()]
) -> ModelVersionPage:
    """Keyset paging: a page costs the same however far into the list it is."""
    async with call.services.database.reading() as connection:
        model = await get_visible_model(connection, call, project=project, name=name)
        wanted = replace(query.wanted(model=model), seen_stage=stage_seen_by(call, project=project))
        return await _page(connection, query, wanted, known=VERSION_SORTS)


@router.get(
    "/model-versions",
    responses=problems(),
    summary="List the versions of all registered models, newest first",
    tags=["model versions"],
    dependencies=[requires(Permission.MODELS_READ_PRODUCTION)],
)
async def get_project_versions(
    project: Project, call: Caller, query: Annotated[ProjectVersionQuery, Query()]
) -> ModelVersionPage:
    """By what the versions and their models are; deleted models are left out."""
    async with call.services.database.reading() as connection:
        seen_stage = stage_seen_by(call, project=project)
        wanted = replace(query.wanted_of_project(project=project), seen_stage=seen_stage)
        return await _page(connection, query, wanted, known=PROJECT_VERSION_SORTS)


async def _page(
    connection: Connection, query: VersionQuery, wanted: VersionFilter, *, known: Sequence[str]
) -> ModelVersionPage:
    of_project = wanted.registered_model_id is None
    sort = parse_sort(query.sort, known=known)
    keys = version_keys(sort, of_project=of_project)
    after = decode_position(query.page_token, sort, keys)
    found = await list_versions(connection, wanted, sort, after=after, limit=query.paging.limit)
    page, token = query.paging.cut(
        found, token=lambda each: encode_position(sort, keys, version_position(each, sort, of_project=of_project))
    )
    items = [ModelVersionDocument.of(version, project=wanted.project) for version in page]
    return ModelVersionPage(items=items, next_page_token=token)
