"""Operations on deployments."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Path
from fastapi.responses import Response
from modelyard_events.limits import TIMEOUT_S_MIN
from modelyard_events.reported import Features
from modelyard_events.values import Endpoint, Protocol
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.problems import NotFoundError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from modelyard_registry.api import (
    Answer,
    Call,
    Caller,
    ModelName,
    Project,
    Request,
    carry_out,
    problems,
    refuse_unless_outbound,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.preconditions import etag_of
from modelyard_registry.deployments.domain import (
    ENVIRONMENT_SYNONYMS,
    ENVIRONMENTS,
    Deployment,
    EndpointUrlInvalidError,
    Health,
    parse_environment,
)
from modelyard_registry.deployments.handlers import (
    RecordDeployment,
    foresee_deployment,
    plan_deployment,
    record_deployment,
)
from modelyard_registry.deployments.probing import NOT_ASKED, EndpointProbe, SkipProbeReason, probe_endpoint
from modelyard_registry.deployments.store import find_deployment, list_deployments
from modelyard_registry.models.domain import ModelVersion, parse_reference
from modelyard_registry.models.store import get_version
from modelyard_registry.models.subjects import subject_of_version
from modelyard_registry.models.versions_http import VersionText
from modelyard_registry.policies.store import load_policy
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(tags=["deployments"], route_class=BoundedRoute)

DEPLOYMENTS_PATH = "/registered-models/{name}/versions/{reference}/deployments"
Environment = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100),
    Path(
        description="Only the endpoints in `production` are routed to.",
        examples=["production"],
        json_schema_extra={"enum": [*ENVIRONMENTS, *ENVIRONMENT_SYNONYMS]},
    ),
]


class DeploymentNotFoundError(NotFoundError):
    """The version has no deployment in this environment."""

    code = "deployment-not-found"
    when = "The version has no deployment in this environment."
    fix = "Record one with PUT to this address."


class NewDeployment(Request):
    """Where the version answers. `inputs` left out means the version's own feature schema; times are seconds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "http://10.0.0.7:8080/v2/models/loan-risk/versions/1/infer",
                    "inputs": [{"name": "annual_income", "datatype": "FP64"}],
                    "health": "healthy",
                }
            ]
        }
    )

    url: Annotated[
        str,
        StringConstraints(min_length=1, max_length=2_000),
        Field(examples=["http://10.0.0.7:8080/v2/models/loan-risk/versions/1/infer"]),
    ]
    protocol: Protocol = Protocol.OPEN_INFERENCE_V2
    inputs: Features | None = None
    timeout_s: Annotated[float, Field(ge=TIMEOUT_S_MIN, le=60)] = 2.0
    health: Health = "unknown"
    skip_probe_reason: SkipProbeReason = None


class DeploymentDocument(BaseModel):
    """Where a version answers in an environment, and in what health it was last seen.

    `revision` is the version's: it rises when the version answers elsewhere in any environment.
    """

    project: str
    model: str
    number: int
    revision: int
    environment: str
    endpoint: Endpoint
    health: Health
    recorded_at: datetime
    recorded_by: str

    @classmethod
    def of(cls, deployment: Deployment, *, project: str, version: ModelVersion) -> Self:
        """The document about `deployment` of `version`."""
        return cls(
            project=project,
            model=version.model,
            number=version.number,
            revision=version.revision,
            environment=deployment.environment,
            endpoint=deployment.endpoint,
            health=deployment.health,
            recorded_at=deployment.recorded_at,
            recorded_by=deployment.recorded_by,
        )


class DeploymentList(BaseModel):
    """A version's deployments by environment."""

    items: list[DeploymentDocument]


@router.put(
    f"{DEPLOYMENTS_PATH}/{{environment}}",
    response_model=DeploymentDocument,
    responses=problems(404, 409, 412),
    summary="Record where a version answers",
    dependencies=[requires(Permission.DEPLOYMENTS_WRITE)],
)
async def put_deployment(
    project: Project,
    name: ModelName,
    reference: VersionText,
    environment: Environment,
    body: NewDeployment,
    call: Caller,
) -> Response:
    """The endpoint's revision rises when its URL, protocol or inputs change. Sending the same again changes nothing.

    Moving the endpoint of a version that can get traffic (in canary or production, deprecated, or in a running
    experiment) takes the permission to move versions, too; where policy demands approvals it is refused, and `fix`
    says where to ask. The new endpoint must answer, unless policy waives it or `skip_probe_reason` says why not.
    """
    environment = parse_environment(environment)
    command = command_of(body, project=project, name=name, reference=reference, environment=environment)
    probing = await probe_deployment(call, command, skip_reason=body.skip_probe_reason)

    async def work(tx: Transaction) -> Answer:
        change = await plan_deployment(tx, command)
        refuse_unless_outbound(call, body.url)
        if change.moves_traffic:
            call.principal.refuse_unless_may(Permission.VERSIONS_TRANSITION, project)
        deployment = await record_deployment(tx, change, probing=probing)
        version = await get_version(tx.connection, project=project, model=name, reference=change.version.number)
        return Answer(status=200, body=DeploymentDocument.of(deployment, project=project, version=version))

    subject = subject_of_version(project, name, parse_reference(reference), below=f"/deployments/{environment}")
    return await carry_out(call, body, work, action=AuditAction.DEPLOYMENT_RECORDED, subject=subject)


async def probe_deployment(call: Call, command: RecordDeployment, *, skip_reason: str | None) -> EndpointProbe:
    """Ask the endpoint if the command would send traffic there. What is not there now is refused under the lock."""
    services = call.services
    if skip_reason is not None or not services.probes_endpoints:
        return EndpointProbe(is_on=services.probes_endpoints, skip_reason=skip_reason)
    try:
        async with services.database.reading() as connection:
            change = await foresee_deployment(connection, command, now=services.clock(), actor=call.context.actor)
            policy = await load_policy(connection, project=command.project, registered_model_id=change.model.id)
    except (NotFoundError, EndpointUrlInvalidError):
        return NOT_ASKED
    if not change.moves_traffic or not policy.probe:
        return NOT_ASKED
    return await probe_endpoint(services, change.after.endpoint, owner=command.project)


def command_of(body: NewDeployment, *, project: str, name: str, reference: str, environment: str) -> RecordDeployment:
    """The command that a body stands for."""
    return RecordDeployment(
        project=project,
        model=name,
        reference=parse_reference(reference),
        environment=environment,
        url=body.url,
        protocol=body.protocol,
        inputs=body.inputs,
        timeout_s=body.timeout_s,
        health=body.health,
    )


@router.get(
    DEPLOYMENTS_PATH,
    responses=problems(404),
    summary="List where a version answers",
    dependencies=[requires(Permission.MODELS_READ)],
)
async def get_deployments(project: Project, name: ModelName, reference: VersionText, call: Caller) -> DeploymentList:
    """One deployment per environment."""
    async with call.services.database.reading() as connection:
        version = await get_version(connection, project=project, model=name, reference=parse_reference(reference))
        found = await list_deployments(connection, version_id=version.id)
    return DeploymentList(items=[DeploymentDocument.of(each, project=project, version=version) for each in found])


@router.get(
    f"{DEPLOYMENTS_PATH}/{{environment}}",
    responses=problems(404),
    summary="Get where a version answers in an environment",
    dependencies=[requires(Permission.MODELS_READ)],
)
async def get_deployment(
    project: Project,
    name: ModelName,
    reference: VersionText,
    environment: Environment,
    call: Caller,
    response: Response,
) -> DeploymentDocument:
    """The endpoint and its health. The ETag is the version's, as PUT takes it for `If-Match`."""
    environment = parse_environment(environment)
    async with call.services.database.reading() as connection:
        version = await get_version(connection, project=project, model=name, reference=parse_reference(reference))
        deployment = await find_deployment(connection, version_id=version.id, environment=environment)
    if deployment is None:
        raise DeploymentNotFoundError(f"{name} {version.number} has no deployment in {environment}.")
    response.headers.update(etag_of(version.revision))
    return DeploymentDocument.of(deployment, project=project, version=version)
