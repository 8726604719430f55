"""Operations on registered models."""

from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response
from modelyard_runtime.access.permissions import Permission

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
from modelyard_registry.models.documents import NewRegisteredModel, RegisteredModelDocument
from modelyard_registry.models.domain import RegisteredModel
from modelyard_registry.models.handlers import create_registered_model
from modelyard_registry.models.visibility import get_visible_model
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
