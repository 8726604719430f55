"""Operations that change a registered model: describe it otherwise, rename it, delete and restore it."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from modelyard_events.values import Slug
from modelyard_runtime.access.permissions import Permission
from pydantic import BaseModel, ConfigDict

from modelyard_registry.api import (
    Answer,
    Call,
    Caller,
    ModelName,
    Project,
    Reason,
    Request,
    carry_out,
    problems,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.models.changes import delete_model, rename_model, restore_model, update_model
from modelyard_registry.models.documents import RegisteredModelDocument
from modelyard_registry.models.domain import RegisteredModel
from modelyard_registry.models.patches import RegisteredModelPatch
from modelyard_registry.models.subjects import subject_of_model
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(tags=["registered models"], route_class=BoundedRoute)


class NewName(Request):
    """What the registered model is to be called."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "loan-risk", "reason": "a typing error"}]})

    name: Slug
    reason: Reason | None = None


class Restoration(Request):
    """Why it is brought back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "somebody uses it after all"}]})

    reason: Reason | None = None


@router.patch(
    "/registered-models/{name}",
    response_model=RegisteredModelDocument,
    responses=problems(404, 409, 412),
    summary="Describe a registered model otherwise",
    dependencies=[requires(Permission.MODELS_WRITE)],
)
async def patch_registered_model(
    project: Project, name: ModelName, body: RegisteredModelPatch, call: Caller
) -> Response:
    """A JSON Merge Patch. By another primary metric or direction the improvement of its versions is measured again."""

    async def change(tx: Transaction) -> RegisteredModel:
        return await update_model(tx, body, project=project, name=name)

    return await _change(call, body, change, project=project, name=name, action=AuditAction.REGISTERED_MODEL_UPDATED)


@router.post(
    "/registered-models/{name}/rename",
    response_model=RegisteredModelDocument,
    responses=problems(404, 409, 412),
    summary="Rename a registered model",
    dependencies=[requires(Permission.MODELS_WRITE)],
)
async def post_rename(project: Project, name: ModelName, body: NewName, call: Caller) -> Response:
    """Versions, aliases and history go with it; the old name answers 404 and names the new one.

    Refused while any of it serves or is in a running experiment: those who ask and answer know it by its name.
    """

    async def change(tx: Transaction) -> RegisteredModel:
        return await rename_model(tx, project=project, name=name, new_name=body.name, reason=body.reason)

    return await _change(call, body, change, project=project, name=name, action=AuditAction.REGISTERED_MODEL_RENAMED)


@router.delete(
    "/registered-models/{name}",
    response_model=RegisteredModelDocument,
    responses=problems(404, 409, 412),
    summary="Delete a registered model, so that it can be restored",
    dependencies=[requires(Permission.MODELS_DELETE)],
)
async def delete_registered_model(
    project: Project,
    name: ModelName,
    call: Caller,
    reason: Annotated[str | None, Query(max_length=1_000, description="Why.")] = None,
) -> Response:
    """Its versions go with it, and its name stays taken. Refused while any of it serves or is in an experiment."""

    async def change(tx: Transaction) -> RegisteredModel:
        return await delete_model(tx, project=project, name=name, reason=reason)

    return await _change(call, None, change, project=project, name=name, action=AuditAction.REGISTERED_MODEL_DELETED)


@router.post(
    "/registered-models/{name}/restore",
    response_model=RegisteredModelDocument,
    responses=problems(404, 409, 412),
    summary="Restore a deleted registered model",
    dependencies=[requires(Permission.MODELS_DELETE)],
)
async def post_restore(project: Project, name: ModelName, call: Caller, body: Restoration | None = None) -> Response:
    """With the versions and aliases that it had."""

    async def change(tx: Transaction) -> RegisteredModel:
        return await restore_model(tx, project=project, name=name, reason=body.reason if body else None)

    return await _change(call, body, change, project=project, name=name, action=AuditAction.REGISTERED_MODEL_RESTORED)


async def _change(
    call: Call,
    body: BaseModel | None,
    change: Callable[[Transaction], Awaitable[RegisteredModel]],
    *,
    project: str,
    name: str,
    action: AuditAction,
) -> Response:
    async def work(tx: Transaction) -> Answer:
        return Answer(status=200, body=RegisteredModelDocument.of(await change(tx)))

    return await carry_out(call, body, work, action=action, subject=subject_of_model(project, name))
