"""The HTTP door to policies: a project's, and a registered model's own."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from modelyard_runtime.access.permissions import Permission
from pydantic import BaseModel, ConfigDict

from modelyard_registry.api import (
    Answer,
    Caller,
    ModelName,
    Project,
    Reason,
    Subject,
    carry_out,
    problems,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.preconditions import etag_of
from modelyard_registry.models.locks import lock_model
from modelyard_registry.models.store import get_model
from modelyard_registry.policies.domain import EffectivePolicy, Policy, PolicyRevision
from modelyard_registry.policies.handlers import set_model_policy, set_project_policy
from modelyard_registry.policies.store import find_project_policy, load_policy, lock_project_policy
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(tags=["policies"], route_class=BoundedRoute)

EXAMPLE: dict[str, Any] = {
    "moves": [
        {
            "to_stage": "production",
            "approvals": {"count": 2, "role": "approver"},
            "gates": [
                {"gate": "performance", "metric": "auc", "min": 0.8},
                {"gate": "no_worse_than_champion", "margin": 0.01},
                {"gate": "security"},
            ],
            "expiry_hours": 72,
            "apply": "automatically",
        }
    ],
    "champion": "auto",
    "build_statuses": ["ready"],
    "review_statuses": ["approved", "pending_review"],
    "protected_aliases": [{"alias": "stable", "role": "approver"}],
    "reason": "Two people look at what goes into production.",
}


class NewPolicy(Policy):
    """The policy as it is to be, whole: what is left out is no longer demanded."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    reason: Reason | None = None

    def policy(self) -> Policy:
        """The policy alone."""
        return Policy(**{name: getattr(self, name) for name in Policy.model_fields})


class PolicyDocument(BaseModel):
    """A policy. `policy` is what was set, `effective` what holds with the project's and the defaults under it."""

    project: str
    model: str | None
    revision: int
    policy: Policy
    effective: Policy


@router.get(
    "/policies",
    dependencies=[requires(Permission.MODELS_READ)],
    responses=problems(),
    summary="Get the project's policy",
)
async def get_policy(project: Project, call: Caller, response: Response) -> PolicyDocument:
    """What the project demands of moves; revision 0 when nobody has set a policy."""
    async with call.services.database.reading() as connection:
        found = await find_project_policy(connection, project=project)
    response.headers.update(etag_of(found.revision))
    return _project_document(found, project=project)


@router.put(
    "/policies",
    dependencies=[requires(Permission.POLICIES_WRITE)],
    response_model=PolicyDocument,
    responses=problems(409, 412),
    summary="Set the project's policy",
)
async def put_policy(project: Project, body: NewPolicy, call: Caller) -> Response:
    """Holds for every move that is made from now on.

    Open transition requests from before become stale: nobody can agree to one, nor have it made. They stay open until
    the same person asks anew, or they are withdrawn, rejected or expire.
    """

    async def work(tx: Transaction) -> Answer:
        changed = await set_project_policy(tx, body.policy(), project=project, reason=body.reason)
        return Answer(status=200, body=_project_document(changed, project=project))

    async def revision(tx: Transaction) -> int:
        return (await lock_project_policy(tx, project=project)).revision

    subject = Subject(project=project, path="policies", revision=revision)
    return await carry_out(call, body, work, action=AuditAction.POLICY_CHANGED, subject=subject)


@router.get(
    "/registered-models/{name}/policy",
    dependencies=[requires(Permission.MODELS_READ)],
    responses=problems(404),
    summary="Get a registered model's own policy",
)
async def get_model_policy(project: Project, name: ModelName, call: Caller, response: Response) -> PolicyDocument:
    """The model's own, and what holds for it together with its project's."""
    async with call.services.database.reading() as connection:
        model = await get_model(connection, project=project, name=name)
        found = await load_policy(connection, project=project, registered_model_id=model.id)
    response.headers.update(etag_of(found.model.revision))
    return _model_document(found, project=project, name=name)


@router.put(
    "/registered-models/{name}/policy",
    dependencies=[requires(Permission.POLICIES_WRITE)],
    response_model=PolicyDocument,
    responses=problems(404, 409, 412),
    summary="Set a registered model's own policy",
)
async def put_model_policy(project: Project, name: ModelName, body: NewPolicy, call: Caller) -> Response:
    """Goes before the project's policy in what it says; an empty one leaves everything to the project's."""

    async def work(tx: Transaction) -> Answer:
        await set_model_policy(tx, body.policy(), project=project, name=name, reason=body.reason)
        model = await get_model(tx.connection, project=project, name=name)
        found = await load_policy(tx.connection, project=project, registered_model_id=model.id)
        return Answer(status=200, body=_model_document(found, project=project, name=name))

    async def revision(tx: Transaction) -> int:
        model = await lock_model(tx.connection, project=project, name=name)
        return (await load_policy(tx.connection, project=project, registered_model_id=model.id)).model.revision

    subject = Subject(project=project, path=f"registered-models/{name}/policy", revision=revision)
    return await carry_out(call, body, work, action=AuditAction.POLICY_CHANGED, subject=subject)


def _project_document(found: PolicyRevision, *, project: str) -> PolicyDocument:
    return PolicyDocument(
        project=project,
        model=None,
        revision=found.revision,
        policy=found.policy,
        effective=EffectivePolicy(project=found).document(),
    )


def _model_document(found: EffectivePolicy, *, project: str, name: str) -> PolicyDocument:
    return PolicyDocument(
        project=project,
        model=name,
        revision=found.model.revision,
        policy=found.model.policy,
        effective=found.document(),
    )
