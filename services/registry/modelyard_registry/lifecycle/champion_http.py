"""Operations on the champion: who it is and was, rollback, and pointing at another one by hand."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from modelyard_events.values import Moment, Slug
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.problems import NotFoundError
from pydantic import BaseModel, ConfigDict, Field

from modelyard_registry.aliases.store import find_champion_at
from modelyard_registry.api import (
    Answer,
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
from modelyard_registry.deployments.probing import SkipProbeReason
from modelyard_registry.lifecycle.appointment import AppointChampion, appoint_champion
from modelyard_registry.lifecycle.handlers import roll_back
from modelyard_registry.lifecycle.rollback import RollBackChampion
from modelyard_registry.lifecycle.rollback_plan import probe_rollback
from modelyard_registry.models.documents import ModelVersionDocument
from modelyard_registry.models.store import get_model, get_version
from modelyard_registry.models.subjects import subject_of_model
from modelyard_registry.routes.champion_history import CHAMPION
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(tags=["lifecycle"], route_class=BoundedRoute)


class ChampionNotFoundError(NotFoundError):
    """The registered model has no champion, or had none at that moment."""

    code = "champion-not-found"
    when = "The registered model has no champion, or had none at the moment in `at`."
    fix = "Promote a version with a transition to production, or ask about another moment."


class NewRollback(Request):
    """Which champion is taken back: its number, so that nobody takes back another one by mistake."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"replaces": 2, "reason": "answers nonsense"}]})

    replaces: Annotated[int, Field(ge=1, lt=2**31, examples=[2])]
    reason: Reason | None = None
    skip_probe_reason: SkipProbeReason = None


class NewChampion(Request):
    """Which version in production is to be champion, and which champion it follows: null when there is none.

    `replaces_model` names the other registered model that loses the slot by it.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"number": 3, "replaces": 2}]})

    number: Annotated[int, Field(ge=1, lt=2**31, examples=[3])]
    replaces: Annotated[int, Field(ge=1, lt=2**31, examples=[2])] | None
    replaces_model: Slug | None = None
    reason: Reason | None = None


class RollbackDocument(BaseModel):
    """What the rollback did; `champion` is the version that serves again."""

    replaced: int
    restored: int
    champion: ModelVersionDocument


class ChampionDocument(BaseModel):
    """The champion, now or at the moment that was asked about; `version` is it as it stands today."""

    model: str
    number: int
    champion_since: datetime
    version: ModelVersionDocument


@router.post(
    "/registered-models/{name}/rollback",
    response_model=RollbackDocument,
    responses=problems(404, 409, 412),
    summary="Restore the champion before this one",
    dependencies=[requires(Permission.VERSIONS_TRANSITION)],
)
async def post_rollback(project: Project, name: ModelName, body: NewRollback, call: Caller) -> Response:
    """Restores the previous champion, deprecates the one that is taken back, and stops the experiments it is in.

    The restored version's endpoint must answer, unless policy waives it or `skip_probe_reason` says why not.
    """
    command = RollBackChampion(project=project, model=name, replaces=body.replaces, reason=body.reason)
    probing = await probe_rollback(call.services, command, skip_reason=body.skip_probe_reason)

    async def work(tx: Transaction) -> Answer:
        rollback = await roll_back(tx, command, probing=probing)
        restored = rollback.restored.number
        version = await get_version(tx.connection, project=project, model=name, reference=restored)
        document = RollbackDocument(
            replaced=rollback.replaced,
            restored=restored,
            champion=ModelVersionDocument.of(version, project=project),
        )
        return Answer(status=200, body=document)

    subject = subject_of_model(project, name, below=f"/versions/{body.replaces}")
    return await carry_out(call, body, work, action=AuditAction.MODEL_VERSION_ROLLED_BACK, subject=subject)


@router.get(
    "/registered-models/{name}/champion",
    responses=problems(404),
    summary="Get the champion, now or at a moment",
    dependencies=[requires(Permission.MODELS_READ)],
)
async def get_champion(
    project: Project,
    name: ModelName,
    call: Caller,
    at: Annotated[
        Moment | None,
        Query(description="The moment that is asked about, RFC 3339.", examples=["2026-03-03T12:00:00Z"]),
    ] = None,
) -> ChampionDocument:
    """The version that serves the model's slot by default."""
    async with call.services.database.reading() as connection:
        model = await get_model(connection, project=project, name=name)
        moment = call.services.clock() if at is None else at
        champion = await find_champion_at(connection, registered_model_id=model.id, at=moment)
        if champion is None:
            raise ChampionNotFoundError(
                f"{name} has no {CHAMPION}." if at is None else f"{name} had no {CHAMPION} at {at.isoformat()}."
            )
        number, since = champion
        version = await get_version(connection, project=project, model=name, reference=number)
    return ChampionDocument(
        model=name,
        number=number,
        champion_since=since,
        version=ModelVersionDocument.of(version, project=project),
    )


@router.post(
    "/registered-models/{name}/champion",
    response_model=ModelVersionDocument,
    responses=problems(404, 409, 412),
    summary="Make a version in production champion",
    dependencies=[requires(Permission.VERSIONS_TRANSITION)],
)
async def post_champion(project: Project, name: ModelName, body: NewChampion, call: Caller) -> Response:
    """Only where the champion policy is `manual`; elsewhere promotions and rollbacks move the champion.

    Where policy demands approvals for production, only a version whose promotion others agreed to becomes champion.
    """
    command = AppointChampion(
        project=project,
        model=name,
        number=body.number,
        replaces=body.replaces,
        replaces_model=body.replaces_model,
        reason=body.reason,
    )

    async def work(tx: Transaction) -> Answer:
        version = await appoint_champion(tx, command)
        return Answer(status=200, body=ModelVersionDocument.of(version, project=project))

    subject = subject_of_model(project, name, below=f"/aliases/{CHAMPION}")
    return await carry_out(call, body, work, action=AuditAction.ALIAS_MOVED, subject=subject)
