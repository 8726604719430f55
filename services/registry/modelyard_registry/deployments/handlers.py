"""Recording deployments: load under the model's lock, decide, save, and say so, in the caller's transaction."""

from dataclasses import dataclass

from modelyard_events.registry import DeploymentRecorded
from modelyard_events.values import Feature, Protocol

from modelyard_registry.deployments.domain import Deployment, decide_endpoint
from modelyard_registry.deployments.store import find_deployment, save_deployment
from modelyard_registry.lifecycle.domain import ROUTED_ENVIRONMENT, Health
from modelyard_registry.models.domain import ModelVersion, Reference
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.models.store import get_version, lock_model
from modelyard_registry.routes.handlers import publish_route
from modelyard_registry.transactions import Transaction


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


async def record_deployment(tx: Transaction, command: RecordDeployment) -> tuple[Deployment, int]:
    """Answers the deployment as it is now, and the version's number; what was recorded just so before stays.

    Raises RegisteredModelNotFoundError, ModelVersionNotFoundError or EndpointUrlInvalidError.
    """
    model = await lock_model(tx.connection, project=command.project, name=command.model)
    version = await get_version(
        tx.connection, project=command.project, model=command.model, reference=command.reference
    )
    before = await find_deployment(tx.connection, version_id=version.id, environment=command.environment)
    endpoint = decide_endpoint(
        url=command.url,
        protocol=command.protocol,
        inputs=version.evidence.feature_schema if command.inputs is None else command.inputs,
        timeout_s=command.timeout_s,
        before=None if before is None else before.endpoint,
    )
    if before is not None and (before.endpoint, before.health) == (endpoint, command.health):
        return before, version.number

    deployment = Deployment(
        environment=command.environment,
        endpoint=endpoint,
        health=command.health,
        recorded_at=tx.now,
        recorded_by=tx.context.actor,
    )
    await save_deployment(tx.connection, deployment, version_id=version.id)
    await _say_recorded(tx, deployment, before=before, version=version, project=command.project)
    has_moved = before is None or before.endpoint != endpoint
    if command.environment == ROUTED_ENVIRONMENT and has_moved:
        # Whatever the stage: a running experiment may name the version.
        await publish_route(tx, project=command.project, model_type=model.model_type)
    return deployment, version.number


async def _say_recorded(
    tx: Transaction, deployment: Deployment, *, before: Deployment | None, version: ModelVersion, project: str
) -> None:
    recorded = DeploymentRecorded(
        project=project,
        model=version.model,
        number=version.number,
        environment=deployment.environment,
        endpoint=deployment.endpoint,
        health=deployment.health,
        previous_endpoint=None if before is None else before.endpoint,
        previous_health=None if before is None else before.health,
    )
    await append_model_fact(tx, recorded, registered_model_id=version.registered_model_id)
    await tx.record_audit(
        project=project,
        action="deployment.recorded",
        subject=f"{version.subject}/deployments/{deployment.environment}",
        before=None if before is None else _summary(before),
        after=_summary(deployment),
        digest=version.digest,
    )


def _summary(deployment: Deployment) -> dict[str, object]:
    return {"endpoint": deployment.endpoint.model_dump(mode="json"), "health": deployment.health}
