"""The HTTP door to registering: the operation, and what it shares with the fast path."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from modelyard_runtime.access.permissions import Permission

from modelyard_registry.api import Call, Caller, ModelName, Project, problems, requires
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.idempotency import Claim, digest_of_request
from modelyard_registry.api.preconditions import etag_of
from modelyard_registry.models.documents import ModelVersionDocument, NewModelVersion
from modelyard_registry.models.domain import SemanticVersion
from modelyard_registry.registration.command import RegisterModelVersion
from modelyard_registry.registration.registrar import Order, Registered, Registrar

router = APIRouter(tags=["model versions"], route_class=BoundedRoute)


def the_registrar(request: Request) -> Registrar:
    """The registrar that the application opened."""
    registrar: Registrar = request.app.state.registrar
    return registrar


TheRegistrar = Annotated[Registrar, Depends(the_registrar)]


def order_of(call: Call, body: NewModelVersion, *, project: str, name: str, size_bytes: int | None = None) -> Order:
    """What the caller asks for."""
    claim = None
    if call.idempotency_key is not None:
        request = digest_of_request(call.address, body, if_match=call.if_match)
        claim = Claim(actor=call.context.actor, key=call.idempotency_key, request=request)
    return Order(
        command=RegisterModelVersion(
            project=project,
            model=name,
            digest=body.digest,
            run_id=body.run_id,
            semver=SemanticVersion.of(body.semver) if body.semver is not None else None,
            change_type=body.change_type,
            evidence=body.evidence,
            build_status=body.build_status,
        ),
        context=call.context,
        claim=claim,
        if_match=call.if_match,
        size_bytes=len(body.model_dump_json()) if size_bytes is None else size_bytes,
    )


def registration_response(registered: Registered) -> Response:
    """The HTTP answer for a registration."""
    return Response(
        registered.body,
        status_code=registered.status,
        media_type="application/json",
        headers=headers_of(registered),
    )


def headers_of(registered: Registered) -> dict[str, str]:
    """The headers that say which revision the version has, and whether this is a kept answer."""
    replayed = {"idempotency-replayed": "true"} if registered.is_replayed else {}
    return {**replayed, **etag_of(registered.revision)}


@router.post(
    "/registered-models/{name}/versions",
    status_code=201,
    response_model=ModelVersionDocument,
    responses={
        **problems(404, 409, 412),
        200: {
            "model": ModelVersionDocument,
            "description": "The same run registered this artifact before, with the same values",
        },
    },
    summary="Register a version",
    dependencies=[requires(Permission.VERSIONS_REGISTER)],
)
async def post_version(
    project: Project, name: ModelName, body: NewModelVersion, call: Caller, registrar: TheRegistrar
) -> Response:
    """Makes an uploaded artifact the next version. The same `run_id` and `digest` again answer the first version.

    Other values with them are refused (409): `differs` names the values, `version` the version that is there.
    """
    return registration_response(await registrar.register(order_of(call, body, project=project, name=name)))
