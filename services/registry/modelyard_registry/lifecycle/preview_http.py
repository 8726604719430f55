"""Seeing what a move would be before it is made or asked for."""

from fastapi import APIRouter
from modelyard_events.values import Stage
from modelyard_runtime.access.permissions import Permission, Role
from pydantic import BaseModel

from modelyard_registry.api import Caller, ModelName, Project, problems, requires
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.lifecycle.domain import TransitionRefusedError
from modelyard_registry.lifecycle.handlers import preview_transition
from modelyard_registry.lifecycle.http import VERSION_PATH, NewTransition, VerdictDocument, probed, transition_of
from modelyard_registry.models.versions_http import VersionText

router = APIRouter(tags=["lifecycle"], route_class=BoundedRoute)


class PossibleMoveDocument(BaseModel):
    """A move that there is from where the version stands, and what it still needs."""

    to_stage: Stage
    needs: list[str]


class PreviewDocument(BaseModel):
    """What the move would be: `allowed` when it could be made now, alone or by a transition request.

    `missing` says what the move needs and the version has not, or that there is no such move; then `possible` lists
    the moves from where it stands. `approvals_needed` is how many people with `role` would have to agree;
    `moves_champion` says whether the version would become champion, and `champion_reason` why.
    """

    from_stage: Stage
    to_stage: Stage
    allowed: bool
    missing: list[str]
    possible: list[PossibleMoveDocument]
    verdicts: list[VerdictDocument]
    approvals_needed: int
    role: Role | None
    moves_champion: bool
    champion_reason: str | None


@router.post(
    f"{VERSION_PATH}/transitions/dry-run",
    responses=problems(404),
    summary="See what a move would be, with every gate's verdict",
    dependencies=[requires(Permission.MODELS_READ)],
)
async def post_dry_run(
    project: Project, name: ModelName, reference: VersionText, body: NewTransition, call: Caller
) -> PreviewDocument:
    """Changes nothing. A move that cannot be made is answered, too: with every gate's verdict, and what is missing."""
    command = await probed(call, transition_of(body, project=project, name=name, reference=reference))
    async with call.services.unit_of_work(call.context) as tx:
        from_stage, foreseen = await preview_transition(tx, command)
    promotes = foreseen.to_stage is Stage.PRODUCTION
    move, approvals = foreseen.move, foreseen.rule.approvals
    refused = move.extra if isinstance(move, TransitionRefusedError) else {}
    return PreviewDocument(
        from_stage=from_stage,
        to_stage=foreseen.to_stage,
        allowed=foreseen.is_allowed,
        missing=refused.get("missing", []),
        possible=[PossibleMoveDocument.model_validate(each) for each in refused.get("possible", [])],
        verdicts=[VerdictDocument.model_validate(verdict.document()) for verdict in foreseen.verdicts],
        approvals_needed=approvals.count if approvals else 0,
        role=approvals.role if approvals else None,
        moves_champion=not isinstance(move, TransitionRefusedError) and move.becomes_champion,
        champion_reason=foreseen.succession.reason if promotes else None,
    )
