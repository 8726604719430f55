"""The API by ids: versions, their stages and the history of these."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from modelyard_events.reported import ReportedEvidence
from modelyard_events.values import Stage
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.problems import NotFoundError

from modelyard_registry.api import (
    Answer,
    Caller,
    Subject,
    carry_out,
    problems,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Paging
from modelyard_registry.approvals.domain import TransitionRequest
from modelyard_registry.compatibility import store
from modelyard_registry.compatibility.by_id.changes import change_version
from modelyard_registry.compatibility.documents import (
    ARTIFACT_ELSEWHERE,
    WAITS,
    NewStage,
    NewVersion,
    TransitionDocument,
    TransitionPage,
    VersionDocument,
    VersionPage,
    WaitingVersionDocument,
)
from modelyard_registry.compatibility.moves import Moving, move, probed
from modelyard_registry.compatibility.registration import Registering, evidence_of, in_project, keep_metadata, register
from modelyard_registry.compatibility.request_project import Where, requires_there
from modelyard_registry.compatibility.vocabulary import WORD_OF, parse_semver, stages_meant_by, tags_from
from modelyard_registry.lifecycle.domain import parse_stage
from modelyard_registry.lifecycle.store import Transition, list_transitions
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

BEYOND_NUMBERS = 2**31 - 1

StageFilter = Annotated[
    str | None, Query(max_length=50, description="Only versions in this stage, in their words or ours.")
]

router = APIRouter(prefix="/api/v1/registry/models", tags=["other registries: by id"], route_class=BoundedRoute)


class VersionNotFoundError(NotFoundError):
    """There is no such version."""

    code = "version-not-found"
    when = "The model has no such version, or none in the stage that was asked about."
    fix = "List its versions with GET /api/v1/registry/models/{model_id}/versions."


@router.post(
    "/{model_id}/versions",
    status_code=201,
    response_model=VersionDocument,
    responses=problems(404, 409),
    summary="Create a version",
    dependencies=[requires_there(Permission.VERSIONS_REGISTER)],
)
async def post_version(project: Where, model_id: UUID, body: NewVersion, call: Caller) -> Response:
    """Without an uploaded artifact the version is kept with what the request says, and cannot be served."""
    async with call.services.database.reading() as connection:
        model = await store.get_model_by_id(connection, project=project, model_id=model_id)
    semver = parse_semver(body.version) if body.version is not None else None
    elsewhere = body.artifact_version_id
    facts = {"registered_model": model.name, **body.model_dump(mode="json", exclude={"project_id"})}
    is_ours = elsewhere is not None and elsewhere.startswith("sha256:")
    registering = Registering(
        project=project,
        model=model.name,
        artifact=elsewhere if elsewhere and is_ours else await keep_metadata(call.services.artifacts, facts),
        semver=semver,
        run_id=body.run_id,
        evidence=_evidence(body, elsewhere=None if is_ours else elsewhere),
    )

    async def work(tx: Transaction) -> Answer:
        registered = await register(tx, registering)
        found = await store.get_version_by_id(tx.connection, project=project, version_id=registered.id)
        return Answer(status=201, body=VersionDocument.of(found))

    subject = Subject(project=project, path=f"registered-models/{model.name}/versions")
    return await carry_out(
        in_project(call, project), body, work, action=AuditAction.MODEL_VERSION_REGISTERED, subject=subject
    )


def _evidence(body: NewVersion, *, elsewhere: str | None) -> ReportedEvidence:
    return evidence_of(
        metrics=body.metrics,
        description=body.description,
        tags=tags_from(body.tags),
        custom_metadata=body.metadata if elsewhere is None else {**body.metadata, ARTIFACT_ELSEWHERE: elsewhere},
    )


@router.get(
    "/{model_id}/versions",
    responses=problems(404),
    summary="List a model's versions, newest first",
    dependencies=[requires_there(Permission.MODELS_READ)],
)
async def get_versions(
    project: Where,
    model_id: UUID,
    call: Caller,
    paging: Paging,
    stage: StageFilter = None,
) -> VersionPage:
    """`staging` includes versions in canary, and `archived` deprecated ones."""
    after = paging.after(int)
    async with call.services.database.reading() as connection:
        await store.get_model_by_id(connection, project=project, model_id=model_id)
        found = await store.list_versions(
            connection,
            project=project,
            model_id=model_id,
            before=BEYOND_NUMBERS if after is None else min(after, BEYOND_NUMBERS),
            stages=None if stage is None else stages_meant_by(stage),
            limit=paging.limit,
        )
    return paging.page(VersionPage, found, of=VersionDocument.of, key=lambda each: each.number)


@router.get(
    "/{model_id}/versions/{version}",
    responses=problems(404),
    summary="Get a version",
    dependencies=[requires_there(Permission.MODELS_READ)],
)
async def get_version(
    project: Where,
    model_id: UUID,
    version: Annotated[str, Path(max_length=50, examples=["v1.0.0"])],
    call: Caller,
) -> VersionDocument:
    """By its semantic version, with or without a `v`."""
    semver = parse_semver(version)
    async with call.services.database.reading() as connection:
        model = await store.get_model_by_id(connection, project=project, model_id=model_id)
        found = await store.find_version_by_semver(
            connection, project=project, model_id=model_id, semver=(semver.major, semver.minor, semver.patch)
        )
    if found is None:
        raise VersionNotFoundError(f"{model.name} has no version v{semver}.")
    return VersionDocument.of(found)


@router.get(
    "/stages/{stage}/latest",
    responses=problems(404),
    summary="Get the latest version in a stage",
    dependencies=[requires_there(Permission.MODELS_READ)],
)
async def get_latest_in_stage(
    project: Where,
    stage: Annotated[str, Path(max_length=50, examples=["production"])],
    call: Caller,
    of_model: Annotated[
        UUID | None, Query(alias="model_id", description="Of this model; of any in the project when absent.")
    ] = None,
) -> VersionDocument:
    """The one that was registered last."""
    stages = stages_meant_by(stage)
    async with call.services.database.reading() as connection:
        found = await store.find_latest_in(connection, project=project, stages=stages, model_id=of_model)
    if found is None:
        raise VersionNotFoundError(
            f"The project {project} has no version in {', '.join(sorted(stages))}.",
            fix="Ask about another stage, or leave `model_id` out.",
        )
    return VersionDocument.of(found)


@router.post(
    "/versions/{version_id}/transition",
    response_model=VersionDocument,
    responses={**problems(404, 409, 412), 202: {"model": WaitingVersionDocument, "description": WAITS}},
    summary="Move a version to another stage",
    dependencies=[requires_there(Permission.VERSIONS_TRANSITION)],
)
async def post_transition(project: Where, version_id: UUID, body: NewStage, call: Caller) -> Response:
    """Moving to production makes the version champion; a refusal lists the possible moves and what each needs.

    Where policy wants others to agree, the move is asked for: 202, and the version stays until they have.
    """
    to_stage = parse_stage(body.stage)
    async with call.services.database.reading() as connection:
        version = await store.get_version_by_id(connection, project=project, version_id=version_id)
    moving = await probed(
        call,
        Moving(project=project, model=version.model, number=version.number, to_stage=to_stage, reason=body.comment),
    )

    async def change(tx: Transaction) -> TransitionRequest | None:
        return (await move(tx, moving)).request

    return await change_version(
        call, body, version, change, project=project, action=AuditAction.MODEL_VERSION_TRANSITIONED
    )


@router.get(
    "/versions/{version_id}/transitions",
    responses=problems(404),
    summary="List a version's moves, newest first",
    dependencies=[requires_there(Permission.MODELS_READ)],
)
async def get_transitions(
    project: Where,
    version_id: UUID,
    call: Caller,
    paging: Paging,
) -> TransitionPage:
    """Every move that the version ever made, with who made it and why."""
    after = paging.after(UUID)
    async with call.services.database.reading() as connection:
        version = await store.get_version_by_id(connection, project=project, version_id=version_id)
        found = await list_transitions(connection, version_id=version.id, before=after, limit=paging.limit)
    return paging.page(TransitionPage, found, of=_transition_document, key=lambda each: each.id)


def _transition_document(transition: Transition) -> TransitionDocument:
    return TransitionDocument(
        from_stage=WORD_OF[Stage(transition.from_stage)],
        to_stage=WORD_OF[Stage(transition.to_stage)],
        comment=transition.reason,
        transitioned_by=transition.transitioned_by,
        transitioned_at=transition.transitioned_at,
    )
