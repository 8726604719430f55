"""The API by names: a model is `credit-approval`, its version `v1.0.0`."""

from contextlib import suppress
from datetime import date
from typing import Annotated, Self

from fastapi import APIRouter, Path
from fastapi.responses import Response
from modelyard_events.free_json import FreeJson
from modelyard_events.reported import ReportedEvidence
from modelyard_events.values import Digest, Slug, Stage
from modelyard_runtime.access.permissions import Permission
from pydantic import BaseModel, ConfigDict, Field

from modelyard_registry.api import (
    Answer,
    Call,
    Caller,
    ModelName,
    Request,
    Subject,
    carry_out,
    problems,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Paging, encode_page_token
from modelyard_registry.compatibility import store
from modelyard_registry.compatibility.documents import WAITS, Metrics, NewModel, VersionWord, WaitingMove
from modelyard_registry.compatibility.moves import Moving, move, probed
from modelyard_registry.compatibility.registration import (
    Registering,
    evidence_of,
    in_project,
    keep_metadata,
    new_model,
    register,
)
from modelyard_registry.compatibility.request_project import Where, requires_there
from modelyard_registry.compatibility.vocabulary import parse_semver, spell_semver
from modelyard_registry.lifecycle.domain import parse_stage
from modelyard_registry.models.documents import ShortText, Text
from modelyard_registry.models.domain import ModelVersion
from modelyard_registry.models.handlers import RegisteredModelExistsError, create_registered_model
from modelyard_registry.models.store import RegisteredModelNotFoundError, get_model, get_version
from modelyard_registry.models.subjects import revision_of_version
from modelyard_registry.models.visibility import get_visible_version, stage_seen_by
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

VersionPath = Annotated[str, Path(max_length=50, description="The semantic version.", examples=["v1.0.0"])]

router = APIRouter(prefix="/api/v1/models", tags=["other registries: by name"], route_class=BoundedRoute)


class NamedModelDocument(BaseModel):
    """A model with its semantic versions in their order; `production_version` is its champion."""

    name: str
    versions: list[str]
    latest_version: str | None
    production_version: str | None

    @classmethod
    def of(cls, model: store.NamedModel) -> Self:
        """The document about `model`."""
        return cls(
            name=model.name,
            versions=[f"v{version}" for version in model.versions],
            latest_version=spell_semver(model.latest) if model.latest else None,
            production_version=spell_semver(model.champion) if model.champion else None,
        )


class NamedModels(BaseModel):
    """Some models, by name."""

    models: list[NamedModelDocument]
    next_page_token: str | None


class NamedVersionDocument(BaseModel):
    """A version; `status` is its stage."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str
    status: Stage
    created_date: date
    creator: str
    metrics: dict[str, float]
    features: list[str]

    @classmethod
    def of(cls, version: ModelVersion) -> Self:
        """The document about `version`."""
        evidence = version.evidence
        named = [feature.name for feature in evidence.feature_schema]
        return cls(
            model_id=f"{version.model}-v{version.semver}",
            status=version.stage,
            created_date=version.created_at.date(),
            creator=version.created_by,
            metrics=evidence.metrics,
            features=named or list(evidence.feature_list),
        )


class WaitingNamedVersion(NamedVersionDocument):
    """A version as it stands, whose move others must agree to."""

    transition_request: WaitingMove


class NewNamedVersion(Request):
    """What a version is to be; a model that is not there yet is created with it.

    Without the `digest` of an uploaded artifact the version is kept, and cannot be served.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "credit-approval",
                    "version": "v1.1.0",
                    "algorithm": "GradientBoostingClassifier",
                    "metrics": {"accuracy": 0.92},
                }
            ]
        }
    )

    name: Slug
    version: VersionWord
    project_id: Slug | None = None
    algorithm: ShortText | None = None
    framework: ShortText | None = None
    hyperparameters: FreeJson = Field(default_factory=dict)
    metrics: Metrics = Field(default_factory=dict)
    features: Annotated[list[ShortText], Field(max_length=2_000)] = Field(default_factory=list)
    description: Text | None = None
    run_id: ShortText | None = None
    digest: Digest | None = None


class NewNamedTransition(Request):
    """Where the version is to go, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"to_stage": "production"}]})

    to_stage: Annotated[str, Field(min_length=1, max_length=50)]
    reason: Annotated[str, Field(max_length=1_000)] | None = None
    project_id: Slug | None = None


@router.get(
    "", responses=problems(), summary="List models", dependencies=[requires_there(Permission.MODELS_READ_PRODUCTION)]
)
async def get_models(project: Where, call: Caller, paging: Paging) -> NamedModels:
    """By name, with their versions: of a model with a great many only the newest thousand."""
    after = paging.after(str)
    async with call.services.database.reading() as connection:
        found = await store.list_by_name(
            connection,
            project=project,
            after=after or "",
            limit=paging.limit,
            stage=stage_seen_by(call, project=project),
        )
    page, token = paging.cut(found, token=lambda each: encode_page_token([each.name]))
    return NamedModels(models=[NamedModelDocument.of(model) for model in page], next_page_token=token)


@router.get(
    "/{name}/{version}",
    responses=problems(404),
    summary="Get a version by its name",
    dependencies=[requires_there(Permission.MODELS_READ_PRODUCTION)],
)
async def get_named_version(
    project: Where, name: ModelName, version: VersionPath, call: Caller
) -> NamedVersionDocument:
    """With or without the `v`."""
    reference = parse_semver(version)
    async with call.services.database.reading() as connection:
        found = await get_visible_version(connection, call, project=project, model=name, reference=reference)
    return NamedVersionDocument.of(found)


@router.post(
    "/register",
    status_code=201,
    response_model=NamedVersionDocument,
    responses=problems(404, 409),
    summary="Register a version by its name",
    dependencies=[requires_there(Permission.VERSIONS_REGISTER)],
)
async def post_named_version(project: Where, body: NewNamedVersion, call: Caller) -> Response:
    """Creates the model when it is not there, which needs the permission to create one."""
    semver = parse_semver(body.version)
    facts = {"registered_model": body.name, **body.model_dump(mode="json", exclude={"project_id", "name"})}
    registering = Registering(
        project=project,
        model=body.name,
        artifact=body.digest or await keep_metadata(call.services.artifacts, facts),
        semver=semver,
        run_id=body.run_id,
        evidence=_evidence(body),
    )

    async def work(tx: Transaction) -> Answer:
        await _create_if_missing(tx, call, body, project=project)
        return Answer(status=201, body=NamedVersionDocument.of(await register(tx, registering)))

    subject = Subject(project=project, path=f"registered-models/{body.name}/versions")
    return await carry_out(
        in_project(call, project), body, work, action=AuditAction.MODEL_VERSION_REGISTERED, subject=subject
    )


async def _create_if_missing(tx: Transaction, call: Call, body: NewNamedVersion, *, project: str) -> None:
    try:
        await get_model(tx.connection, project=project, name=body.name)
    except RegisteredModelNotFoundError:
        call.principal.refuse_unless_may(Permission.MODELS_WRITE, project)
        # Who was faster has created it: that is all the same.
        with suppress(RegisteredModelExistsError):
            await create_registered_model(tx, new_model(tx, NewModel(name=body.name), project=project))


def _evidence(body: NewNamedVersion) -> ReportedEvidence:
    return evidence_of(
        algorithm=body.algorithm,
        framework=body.framework,
        hyperparameters=body.hyperparameters,
        metrics=body.metrics,
        feature_list=tuple(body.features),
        description=body.description,
    )


@router.post(
    "/{name}/{version}/transition",
    response_model=NamedVersionDocument,
    responses={**problems(404, 409, 412), 202: {"model": WaitingNamedVersion, "description": WAITS}},
    summary="Move a version by its name to another stage",
    dependencies=[requires_there(Permission.VERSIONS_TRANSITION)],
)
async def post_named_transition(
    project: Where, name: ModelName, version: VersionPath, body: NewNamedTransition, call: Caller
) -> Response:
    """Moving to production makes the version champion; a refusal lists the possible moves and what each needs.

    Where policy wants others to agree, the move is asked for: 202, and the version stays until they have.
    """
    to_stage = parse_stage(body.to_stage)
    reference = parse_semver(version)
    async with call.services.database.reading() as connection:
        known = await get_version(connection, project=project, model=name, reference=reference)
    moving = await probed(
        call, Moving(project=project, model=name, number=known.number, to_stage=to_stage, reason=body.reason)
    )

    async def work(tx: Transaction) -> Answer:
        moved = await move(tx, moving)
        document = NamedVersionDocument.of(moved.version)
        if moved.request is None:
            return Answer(status=200, body=document)
        waiting = document.model_dump() | {"transition_request": WaitingMove.of(moved.request)}
        return Answer(status=202, body=WaitingNamedVersion.model_validate(waiting))

    subject = Subject(project=project, path=known.subject, revision=revision_of_version(project, name, known.number))
    return await carry_out(
        in_project(call, project), body, work, action=AuditAction.MODEL_VERSION_TRANSITIONED, subject=subject
    )
