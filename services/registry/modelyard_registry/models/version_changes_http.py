"""Operations that change what is said about a version: its description, its build status, its review status."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.responses import Response
from modelyard_events.model_changes import BuildStatus, ReviewStatus
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
from modelyard_registry.models.documents import ModelVersionDocument
from modelyard_registry.models.domain import ModelVersion, parse_reference
from modelyard_registry.models.patches import ModelVersionPatch
from modelyard_registry.models.subjects import subject_of_version
from modelyard_registry.models.version_changes import set_build_status, set_review_status, update_version
from modelyard_registry.models.versions_http import VersionText
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

VERSION_PATH = "/registered-models/{name}/versions/{reference}"

router = APIRouter(tags=["model versions"], route_class=BoundedRoute)


class NewBuildStatus(Request):
    """How far the making of the version has come."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"build_status": "evaluating", "reason": "nightly run"}]})

    build_status: BuildStatus
    reason: Reason | None = None


class NewReviewStatus(Request):
    """What a person who looked at the version says."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"review_status": "approved", "reason": "as discussed"}]})

    review_status: ReviewStatus
    reason: Reason | None = None


@router.patch(
    VERSION_PATH,
    response_model=ModelVersionDocument,
    responses=problems(404, 409, 412),
    summary="Describe a version otherwise",
    dependencies=[requires(Permission.VERSIONS_WRITE)],
)
async def patch_version(
    project: Project, name: ModelName, reference: VersionText, body: ModelVersionPatch, call: Caller
) -> Response:
    """A JSON Merge Patch of description, tags, model card and custom metadata. Artifact and evidence never change."""

    async def change(tx: Transaction) -> ModelVersion:
        return await update_version(tx, body, project=project, model=name, reference=parse_reference(reference))

    return await _change(
        call, body, change, project=project, name=name, reference=reference, action=AuditAction.MODEL_VERSION_UPDATED
    )


@router.put(
    f"{VERSION_PATH}/build-status",
    response_model=ModelVersionDocument,
    responses=problems(404, 409, 412),
    summary="Say how far the making of a version has come",
    dependencies=[requires(Permission.VERSIONS_REGISTER)],
)
async def put_build_status(
    project: Project, name: ModelName, reference: VersionText, body: NewBuildStatus, call: Caller
) -> Response:
    """Beside the stage, which it does not move. A refusal says what the version can become."""

    async def change(tx: Transaction) -> ModelVersion:
        return await set_build_status(
            tx,
            body.build_status,
            project=project,
            model=name,
            reference=parse_reference(reference),
            reason=body.reason,
        )

    return await _change(
        call,
        body,
        change,
        project=project,
        name=name,
        reference=reference,
        action=AuditAction.MODEL_VERSION_BUILD_STATUS_CHANGED,
    )


@router.put(
    f"{VERSION_PATH}/review-status",
    response_model=ModelVersionDocument,
    responses=problems(404, 409, 412),
    summary="Say what a reviewer thinks of a version",
    dependencies=[requires(Permission.VERSIONS_APPROVE)],
)
async def put_review_status(
    project: Project, name: ModelName, reference: VersionText, body: NewReviewStatus, call: Caller
) -> Response:
    """Beside the stage, which it does not move; approvals of a transition are decisions of their own."""

    async def change(tx: Transaction) -> ModelVersion:
        return await set_review_status(
            tx,
            body.review_status,
            project=project,
            model=name,
            reference=parse_reference(reference),
            reason=body.reason,
        )

    return await _change(
        call,
        body,
        change,
        project=project,
        name=name,
        reference=reference,
        action=AuditAction.MODEL_VERSION_REVIEW_STATUS_CHANGED,
    )


async def _change(
    call: Call,
    body: BaseModel,
    change: Callable[[Transaction], Awaitable[ModelVersion]],
    *,
    project: str,
    name: str,
    reference: str,
    action: AuditAction,
) -> Response:
    async def work(tx: Transaction) -> Answer:
        return Answer(status=200, body=ModelVersionDocument.of(await change(tx), project=project))

    subject = subject_of_version(project, name, parse_reference(reference))
    return await carry_out(call, body, work, action=action, subject=subject)
