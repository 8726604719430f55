"""Operations on the lifecycle: transitions, the stage at a moment, quarantine."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import Response
from modelyard_events.values import Moment, Slug, Stage
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.problems import NotFoundError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

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
from modelyard_registry.api.paging import Page, Paging
from modelyard_registry.lifecycle import store
from modelyard_registry.lifecycle.domain import parse_stage
from modelyard_registry.lifecycle.handlers import TransitionModelVersion, transition_version
from modelyard_registry.lifecycle.probing import probe_before
from modelyard_registry.lifecycle.quarantine import QuarantineModelVersion, quarantine_version
from modelyard_registry.models.documents import ModelVersionDocument
from modelyard_registry.models.domain import parse_reference
from modelyard_registry.models.store import get_version
from modelyard_registry.models.subjects import subject_of_version
from modelyard_registry.models.versions_http import VersionText
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(tags=["lifecycle"], route_class=BoundedRoute)

VERSION_PATH = "/registered-models/{name}/versions/{reference}"


class StageNotFoundError(NotFoundError):
    """The version was in no stage at that moment."""

    code = "stage-not-found"
    when = "The version was registered after the moment in `at`."
    fix = "Ask about a later moment."


class NewTransition(Request):
    """Where the version is to go. `replaces` names the registered model that may lose the slot by a promotion."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"to_stage": "staging"}, {"to_stage": "production", "reason": "a month of shadow"}]
        }
    )

    to_stage: Annotated[
        str,
        StringConstraints(min_length=1, max_length=50),
        Field(description="A stage, or another system's word for one.", examples=["production"]),
    ]
    reason: Reason | None = None
    replaces: Slug | None = None


class VerdictDocument(BaseModel):
    """What a gate said, why, and the values that it looked at."""

    gate: str
    passed: bool
    reason: str
    evidence: dict[str, Any]


class StageDocument(BaseModel):
    """In which stage a version is, or was at the moment that was asked about, and since when."""

    model: str
    number: int
    stage: Stage
    since: datetime


class TransitionDocument(BaseModel):
    """One move that a version made, with what its gates said and the request that it fulfilled, if any."""

    transition_id: str
    from_stage: Stage
    to_stage: Stage
    reason: str | None
    transitioned_at: datetime
    transitioned_by: str
    verdicts: list[VerdictDocument]
    request_id: str | None


class TransitionPage(Page[TransitionDocument]):
    """Some moves, newest first."""


class NewQuarantine(Request):
    """Whether the version is in quarantine, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quarantined": True, "reason": "answers nonsense"}]})

    quarantined: bool
    reason: Reason | None = None


@router.post(
    f"{VERSION_PATH}/transitions",
    response_model=ModelVersionDocument,
    responses=problems(404, 409, 412),
    summary="Move a version to another stage",
    dependencies=[requires(Permission.VERSIONS_TRANSITION)],
)
async def post_transition(
    project: Project, name: ModelName, reference: VersionText, body: NewTransition, call: Caller
) -> Response:
    """Moving to production makes the version champion. A refusal lists the possible moves and what each still needs."""
    command = await probed(call, transition_of(body, project=project, name=name, reference=reference))

    async def work(tx: Transaction) -> Answer:
        version = await transition_version(tx, command)
        return Answer(status=200, body=ModelVersionDocument.of(version, project=project))

    subject = subject_of_version(project, name, parse_reference(reference))
    return await carry_out(call, body, work, action=AuditAction.MODEL_VERSION_TRANSITIONED, subject=subject)


async def probed(call: Call, command: TransitionModelVersion) -> TransitionModelVersion:
    """The command with what the version's endpoint said, which is asked before anything is locked."""
    probing = await probe_before(
        call.services,
        project=command.project,
        model=command.model,
        reference=command.reference,
        to_stage=command.to_stage,
    )
    return replace(command, probing=probing)


def transition_of(body: NewTransition, *, project: str, name: str, reference: str) -> TransitionModelVersion:
    """The command that a body stands for."""
    return TransitionModelVersion(
        project=project,
        model=name,
        reference=parse_reference(reference),
        to_stage=parse_stage(body.to_stage),
        reason=body.reason,
        replaces=body.replaces,
    )


@router.get(
    f"{VERSION_PATH}/transitions",
    responses=problems(404),
    summary="List a version's moves, newest first",
    dependencies=[requires(Permission.MODELS_READ)],
)
async def get_transitions(
    project: Project,
    name: ModelName,
    reference: VersionText,
    call: Caller,
    paging: Paging,
) -> TransitionPage:
    """Every move that the version ever made, with who made it and why."""
    after = paging.after(UUID)
    async with call.services.database.reading() as connection:
        version = await get_version(connection, project=project, model=name, reference=parse_reference(reference))
        found = await store.list_transitions(connection, version_id=version.id, before=after, limit=paging.limit)
    return paging.page(TransitionPage, found, of=_transition_document, key=lambda each: each.id)


def _transition_document(transition: store.Transition) -> TransitionDocument:
    return TransitionDocument(
        transition_id=str(transition.id),
        from_stage=transition.from_stage,
        to_stage=transition.to_stage,
        reason=transition.reason,
        transitioned_at=transition.transitioned_at,
        transitioned_by=transition.transitioned_by,
        verdicts=[VerdictDocument.model_validate(verdict) for verdict in transition.verdicts],
        request_id=None if transition.request_id is None else str(transition.request_id),
    )


@router.get(
    f"{VERSION_PATH}/stage",
    responses=problems(404),
    summary="Get a version's stage, now or at a moment",
    dependencies=[requires(Permission.MODELS_READ)],
)
async def get_stage(
    project: Project,
    name: ModelName,
    reference: VersionText,
    call: Caller,
    at: Annotated[
        Moment | None,
        Query(description="The moment that is asked about, RFC 3339.", examples=["2026-03-03T12:00:00Z"]),
    ] = None,
) -> StageDocument:
    """Where the version stood at that moment, and since when it had stood there."""
    async with call.services.database.reading() as connection:
        version = await get_version(connection, project=project, model=name, reference=parse_reference(reference))
        moment = call.services.clock() if at is None else at
        found = await store.find_stage_at(connection, version, at=moment)
    if found is None:
        raise StageNotFoundError(
            f"{name} {version.number} was registered at {version.created_at.isoformat()}, after that moment."
        )
    return StageDocument(model=name, number=version.number, stage=found[0], since=found[1])


@router.put(
    f"{VERSION_PATH}/quarantine",
    response_model=ModelVersionDocument,
    responses=problems(404, 409, 412),
    summary="Put a version in quarantine, or release it",
    dependencies=[requires(Permission.VERSIONS_TRANSITION)],
)
async def put_quarantine(
    project: Project, name: ModelName, reference: VersionText, body: NewQuarantine, call: Caller
) -> Response:
    """A quarantined version is never served, whatever its stage and aliases say."""
    command = QuarantineModelVersion(
        project=project,
        model=name,
        reference=parse_reference(reference),
        quarantined=body.quarantined,
        reason=body.reason,
    )

    async def work(tx: Transaction) -> Answer:
        version = await quarantine_version(tx, command)
        return Answer(status=200, body=ModelVersionDocument.of(version, project=project))

    subject = subject_of_version(project, name, parse_reference(reference))
    return await carry_out(call, body, work, action=AuditAction.MODEL_VERSION_QUARANTINED, subject=subject)
