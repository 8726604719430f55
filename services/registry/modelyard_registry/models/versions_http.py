"""Reading a model version."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response
from modelyard_runtime.access.permissions import Permission

from modelyard_registry.api import (
    Caller,
    ModelName,
    Project,
    problems,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.preconditions import etag_of
from modelyard_registry.models.documents import ModelVersionDocument
from modelyard_registry.models.domain import parse_reference
from modelyard_registry.models.visibility import get_visible_version

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
