"""Recording deployments: load under the model's lock, decide, save, and say so, in the caller's transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelyard_events.registry import DeploymentRecorded
from modelyard_events.values import Feature, Protocol, Stage
from modelyard_runtime.problems import ConflictError

from modelyard_registry.deployments.domain import Deployment, Health, decide_endpoint
from modelyard_registry.deployments.probing import EndpointProbe
from modelyard_registry.deployments.store import agree_to_endpoint, find_deployment, save_deployment, save_revision
from modelyard_registry.deployments.traffic import guarding_stage
from modelyard_registry.experiments.store import list_touching
from modelyard_registry.models.domain import ModelVersion, Reference, RegisteredModel
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.models.locks import lock_model
from modelyard_registry.models.store import get_model, get_version
from modelyard_registry.policies.agreement import Agreement
from modelyard_registry.policies.store import load_policy
from modelyard_registry.routes.domain import ROUTED_ENVIRONMENT
from modelyard_registry.routes.handlers import publish_route
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction
from modelyard_registry.transactions.database import Connection


class EndpointApprovalRequiredError(ConflictError):
    """The endpoint of this version is part of what others agreed to."""

    code = "endpoint-approval-required"
    when = "The version can get traffic, and policy demands that others agree to its new endpoint."
    fix = "Ask for the new endpoint with POST …/transition-requests."


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDeployment:
    """The command: a version answers at `url`. `inputs` None means the version's own feature schema."""

    project: str
    model: str
    reference: Reference
    environment: str
    url: str
    protocol: Protocol
    inputs: tuple[Feature, ...] | None
    timeout_s: float
    health: Health


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentChange:
    """What a command would make of a deployment, under the model's lock.

    `guarding_stage` is the stage whose approvals another endpoint of the version needs; None when it gets no traffic.
    """

    model: RegisteredModel
    version: ModelVersion
    before: Deployment | None
    after: Deployment
    guarding_stage: Stage | None

    @property
    def is_none(self) -> bool:
        """Whether the same is recorded already."""
        before = self.before
        return before is not None and (before.endpoint, before.health) == (self.after.endpoint, self.after.health)

    @property
    def moves_endpoint(self) -> bool:
        """Whether the version would answer elsewhere, or be asked otherwise, than it was."""
        return self.before is None or self.before.endpoint.revision != self.after.endpoint.revision

    @property
    def moves_traffic(self) -> bool:
        """Whether it is the endpoint of a version that can get traffic which would move: part of what was agreed to."""
        is_routed = self.after.environment == ROUTED_ENVIRONMENT
        return is_routed and self.moves_endpoint and self.guarding_stage is not None


async def plan_deployment(tx: Transaction, command: RecordDeployment) -> DeploymentChange:
    """What the command would change; locks the registered model, and writes nothing.

    Raises RegisteredModelNotFoundError, ModelVersionNotFoundError or EndpointUrlInvalidError.
    """
    model = await lock_model(tx.connection, project=command.project, name=command.model)
    return await _plan(tx.connection, command, model, now=tx.now, actor=tx.context.actor)


async def foresee_deployment(
    connection: Connection, command: RecordDeployment, *, now: datetime, actor: str
) -> DeploymentChange:
    """What the command would change as things stand, without a lock. Raises what `plan_deployment` raises."""
    model = await get_model(connection, project=command.project, name=command.model)
    return await _plan(connection, command, model, now=now, actor=actor)


async def _plan(
    connection: Connection, command: RecordDeployment, model: RegisteredModel, *, now: datetime, actor: str
) -> DeploymentChange:
    version = await get_version(connection, project=command.project, model=command.model, reference=command.reference)
    before = await find_deployment(connection, version_id=version.id, environment=command.environment)
    endpoint = decide_endpoint(
        url=command.url,
        protocol=command.protocol,
        inputs=version.evidence.feature_schema if command.inputs is None else command.inputs,
        timeout_s=command.timeout_s,
        before=None if before is None else before.endpoint,
    )
    after = Deployment(
        environment=command.environment, endpoint=endpoint, health=command.health, recorded_at=now, recorded_by=actor
    )
    running = await list_touching(connection, project=model.project, model=model.name, number=version.number)
    guard = guarding_stage(version.stage, is_compared=bool(running))
    return DeploymentChange(model=model, version=version, before=before, after=after, guarding_stage=guard)


async def record_deployment(tx: Transaction, change: DeploymentChange, *, probing: EndpointProbe) -> Deployment:
    """Answers the deployment as it is now; what was recorded just so before stays.

    Raises EndpointApprovalRequiredError when the version can get traffic and others must agree to where, or
    EndpointDoesNotAnswerError.
    """
    if change.is_none and change.before is not None:
        return change.before
    await _refuse_unless_alone(tx, change)
    await save_change(tx, change, agreement=None, probing=probing)
    return change.after


async def save_change(
    tx: Transaction, change: DeploymentChange, *, agreement: Agreement | None, probing: EndpointProbe
) -> None:
    """Write a change that nothing else stands against, with its fact, its audit entry and the route.

    Raises EndpointDoesNotAnswerError when it would send traffic to an endpoint that does not answer.
    """
    version = change.version
    asked = await _judge_probe(tx, change, probing)
    await save_deployment(tx.connection, change.after, version_id=version.id)
    if change.moves_traffic and change.guarding_stage is Stage.PRODUCTION:
        await agree_to_endpoint(tx.connection, version_id=version.id)
    revision = version.revision
    if change.moves_endpoint:
        revision = await save_revision(tx.connection, version_id=version.id, now=tx.now)
    await _say_recorded(tx, change, revision=revision, agreement=agreement, asked=asked)
    has_moved = change.before is None or change.before.endpoint != change.after.endpoint
    if change.after.environment == ROUTED_ENVIRONMENT and has_moved:
        # Whatever the stage: a running experiment may name the version.
        await publish_route(tx, project=change.model.project, model_type=change.model.model_type)


async def _judge_probe(tx: Transaction, change: DeploymentChange, probing: EndpointProbe) -> Mapping[str, Any]:
    if not change.moves_traffic:
        return {}
    policy = await load_policy(tx.connection, project=change.model.project, registered_model_id=change.model.id)
    return probing.judge(change.after.endpoint, policy=policy)


async def _refuse_unless_alone(tx: Transaction, change: DeploymentChange) -> None:
    if not change.moves_traffic or change.guarding_stage is None:
        return
    version, project = change.version, change.model.project
    policy = await load_policy(tx.connection, project=project, registered_model_id=change.model.id, shared=True)
    guard = policy.guard_of(change.guarding_stage)
    if guard is None or guard.approvals is None:
        return
    path = f"/api/v1/projects/{project}/{version.subject}/deployments/{ROUTED_ENVIRONMENT}/requests"
    raise EndpointApprovalRequiredError(
        f"{version.model} {version.number} is in {version.stage} and can get traffic: where it answers is part of what"
        f" {guard.approvals.count} people with the role {guard.approvals.role} agree to.",
        fix=f"Ask for the new endpoint with POST {path}.",
        request_path=path,
        approvals={"count": guard.approvals.count, "role": guard.approvals.role},
    )


async def _say_recorded(
    tx: Transaction,
    change: DeploymentChange,
    *,
    revision: int,
    agreement: Agreement | None,
    asked: Mapping[str, Any],
) -> None:
    before, after, version = change.before, change.after, change.version
    recorded = DeploymentRecorded(
        project=change.model.project,
        model=version.model,
        number=version.number,
        environment=after.environment,
        endpoint=after.endpoint,
        health=after.health,
        previous_endpoint=None if before is None else before.endpoint,
        previous_health=None if before is None else before.health,
        revision=revision,
        request_id=None if agreement is None else str(agreement.request_id),
        approved_by=() if agreement is None else agreement.approvers,
    )
    await append_model_fact(tx, recorded, registered_model_id=version.registered_model_id)
    await tx.record_audit(
        project=change.model.project,
        action=AuditAction.DEPLOYMENT_RECORDED,
        subject=f"{version.subject}/deployments/{after.environment}",
        before=None if before is None else _summary(before),
        after={**_summary(after), **asked, **({} if agreement is None else agreement.document())},
        digest=version.digest,
    )


def _summary(deployment: Deployment) -> dict[str, Any]:
    return {"endpoint": deployment.endpoint.model_dump(mode="json"), "health": deployment.health}
