"""Operations on model versions: read and list."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from modelyard_runtime.permissions import Permission

from modelyard_registry.api import (
    Caller,
    ModelName,
    Project,
    problems,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.preconditions import etag_of
from modelyard_registry.models.documents import ModelVersionDocument, ModelVersionPage
from modelyard_registry.models.domain import parse_reference
from modelyard_registry.models.list_queries import ProjectVersionQuery, VersionQuery
from modelyard_registry.models.listing import decode_position, encode_position, parse_sort, version_position
from modelyard_registry.models.listing_store import (
    PROJECT_VERSION_SORTS,
    VERSION_SORTS,
    VersionFilter,
    list_versions,
    version_keys,
)
from modelyard_registry.models.visibility import get_visible_model, get_visible_version, stage_seen_by
from modelyard_registry.transactions.database import Connection

VersionText = Annotated[
    str,
    Path(
        description="A number, a semantic version, `latest`, or an alias, with or without `@`.",
        examples=["3", "1.2.0", "latest", "@champion"],
        max_length=101,
    ),
]

router = APIRouter(tags=["model versions"], route_class=BoundedRoute)


@router.get(
    "/registered-models/{name}/versions",
    responses=problems(404),
    summary="List versions, newest first",
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


@router.get(
    "/registered-models/{name}/versions/{reference}",
    responses=problems(404),
    summary="Get a version",
    dependencies=[requires(Permission.MODELS_READ_PRODUCTION)],
)
async def get_one_version(
    project: Project, name: ModelName, reference: VersionText, call: Caller, response: Response
) -> ModelVersionDocument:
    """By number, by semantic version, by alias, or the one with the highest number. Its revision is its ETag."""
    async with call.services.database.reading() as connection:
        version = await get_visible_version(
            connection, call, project=project, model=name, reference=parse_reference(reference)
        )
    response.headers.update(etag_of(version.revision))
    return ModelVersionDocument.of(version, project=project)
