"""The HTTP door to the artifact of a version."""

from fastapi import APIRouter
from fastapi.responses import Response
from modelyard_runtime.access.permissions import Permission

from modelyard_registry.api import Caller, ModelName, Project, requires
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.artifacts.download import DOWNLOAD_RESPONSES, Asked, download
from modelyard_registry.models.domain import parse_reference
from modelyard_registry.models.versions_http import VersionText
from modelyard_registry.models.visibility import get_visible_version

router = APIRouter(tags=["model versions"], route_class=BoundedRoute)


@router.get(
    "/registered-models/{name}/versions/{reference}/artifact",
    response_class=Response,
    responses=DOWNLOAD_RESPONSES,
    summary="Download a version's artifact",
    dependencies=[requires(Permission.ARTIFACTS_READ_PRODUCTION)],
)
async def get_version_artifact(
    project: Project, name: ModelName, reference: VersionText, call: Caller, asked: Asked
) -> Response:
    """The very bytes that were registered, checked against their digest on the way; of a folder, its manifest."""
    async with call.services.database.reading() as connection:
        version = await get_visible_version(
            connection,
            call,
            project=project,
            model=name,
            reference=parse_reference(reference),
            permission=Permission.ARTIFACTS_READ,
        )
    return await download(call, asked, project=project, digest=version.digest)
