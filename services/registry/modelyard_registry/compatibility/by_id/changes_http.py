"""The API by ids: models and versions that are described otherwise, or put away."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response
from modelyard_events.values import Stage
from modelyard_runtime.access.permissions import Permission

from modelyard_registry.api import Caller, problems
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.approvals.domain import TransitionRequest
from modelyard_registry.compatibility import store
from modelyard_registry.compatibility.by_id.changes import change_model, change_version
from modelyard_registry.compatibility.documents import (
    WAITS,
    ModelChange,
    ModelDocument,
    VersionChange,
    VersionDocument,
    WaitingVersionDocument,
)
from modelyard_registry.compatibility.moves import Moving, put_away
from modelyard_registry.compatibility.request_project import Where, requires_there
from modelyard_registry.compatibility.vocabulary import tags_instead
from modelyard_registry.models.changes import delete_model, update_model
from modelyard_registry.models.locks import lock_model
from modelyard_registry.models.patches import ModelVersionPatch, RegisteredModelPatch, patch_of
from modelyard_registry.models.version_changes import update_version
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(prefix="/api/v1/registry/models", tags=["other registries: by id"], route_class=BoundedRoute)


@router.patch(
    "/{model_id}",
    response_model=ModelDocument,
    responses=problems(404, 409, 412),
    summary="Describe a model otherwise",
    dependencies=[requires_there(Permission.MODELS_WRITE)],
)
async def patch_model(project: Where, model_id: UUID, body: ModelChange, call: Caller) -> Response:
    """Its description and its tags."""
    async with call.services.database.reading() as connection:
        known = await store.get_model_by_id(connection, project=project, model_id=model_id)

    async def change(tx: Transaction) -> store.FoundModel:
        model = await lock_model(tx.connection, project=project, name=known.name)
        patch = patch_of(RegisteredModelPatch, _patch(body, tags=model.tags))
        await update_model(tx, patch, project=project, name=known.name)
        return await store.get_model_by_id(tx.connection, project=project, model_id=model_id)

    return await change_model(call, body, known, change, action=AuditAction.REGISTERED_MODEL_UPDATED)


@router.delete(
    "/{model_id}",
    response_model=ModelDocument,
    responses=problems(404, 409, 412),
    summary="Delete a model with its versions",
    dependencies=[requires_there(Permission.MODELS_DELETE)],
)
async def delete_model_by_id(project: Where, model_id: UUID, call: Caller) -> Response:
    """Refused while any of it serves. It can be restored by its name, which stays taken."""
    async with call.services.database.reading() as connection:
        known = await store.get_model_by_id(connection, project=project, model_id=model_id)

    async def change(tx: Transaction) -> store.FoundModel:
        await delete_model(tx, project=project, name=known.name, reason=None)
        return known

    return await change_model(call, None, known, change, action=AuditAction.REGISTERED_MODEL_DELETED)


@router.patch(
    "/versions/{version_id}",
    response_model=VersionDocument,
    responses=problems(404, 409, 412),
    summary="Describe a version otherwise",
    dependencies=[requires_there(Permission.VERSIONS_WRITE)],
)
async def patch_version(project: Where, version_id: UUID, body: VersionChange, call: Caller) -> Response:
    """Its description, tags and metadata; what was measured stays."""
    async with call.services.database.reading() as connection:
        known = await store.get_version_by_id(connection, project=project, version_id=version_id)

    async def change(tx: Transaction) -> None:
        await lock_model(tx.connection, project=project, name=known.model)
        present = await store.get_version_by_id(tx.connection, project=project, version_id=version_id)
        patch = patch_of(ModelVersionPatch, _patch(body, tags=present.tags))
        await update_version(tx, patch, project=project, model=known.model, reference=known.number)

    return await change_version(call, body, known, change, project=project, action=AuditAction.MODEL_VERSION_UPDATED)


@router.delete(
    "/versions/{version_id}",
    response_model=VersionDocument,
    responses={**problems(404, 409, 412), 202: {"model": WaitingVersionDocument, "description": WAITS}},
    summary="Put a version away",
    dependencies=[requires_there(Permission.VERSIONS_TRANSITION)],
)
async def delete_version(project: Where, version_id: UUID, call: Caller) -> Response:
    """Archives it: a number that was given out, and what happened under it, is never forgotten."""
    async with call.services.database.reading() as connection:
        known = await store.get_version_by_id(connection, project=project, version_id=version_id)
    moving = Moving(project=project, model=known.model, number=known.number, to_stage=Stage.ARCHIVED, reason="deleted")

    async def change(tx: Transaction) -> TransitionRequest | None:
        return (await put_away(tx, moving)).request

    return await change_version(
        call, None, known, change, project=project, action=AuditAction.MODEL_VERSION_TRANSITIONED
    )


def _patch(body: ModelChange | VersionChange, *, tags: dict[str, str]) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    if "description" in body.model_fields_set:
        patch["description"] = body.description
    if "tags" in body.model_fields_set:
        patch["tags"] = tags_instead(body.tags, of=tags)
    if isinstance(body, VersionChange) and "metadata" in body.model_fields_set:
        patch["custom_metadata"] = body.metadata
    return patch
