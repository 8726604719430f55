"""The HTTP door to transition requests: ask, look, decide, apply."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypedDict
from uuid import UUID

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from modelyard_events.values import Slug, Stage
from modelyard_runtime.access.permissions import Permission
from pydantic import ConfigDict

from modelyard_registry.api import (
    Answer,
    Call,
    Caller,
    ModelName,
    Project,
    Reason,
    Request,
    Subject,
    carry_out,
    problems,
    refuse_unless_outbound,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import PageRequest, Paging, encode_page_token
from modelyard_registry.api.preconditions import etag_of
from modelyard_registry.approvals import handlers, requesting, store
from modelyard_registry.approvals.binding import changes_since
from modelyard_registry.approvals.documents import TransitionRequestDocument, TransitionRequestPage
from modelyard_registry.approvals.domain import RequestState, TransitionRequest
from modelyard_registry.approvals.listing import list_by_staleness
from modelyard_registry.approvals.roles import roles_seen_by
from modelyard_registry.deployments.http import DEPLOYMENTS_PATH, NewDeployment, command_of, probe_deployment
from modelyard_registry.deployments.probing import EndpointProbe, probe_endpoint
from modelyard_registry.lifecycle.http import VERSION_PATH, NewTransition, probed, transition_of
from modelyard_registry.lifecycle.probing import Probing, probe_before
from modelyard_registry.models.domain import parse_reference
from modelyard_registry.models.subjects import subject_of_version
from modelyard_registry.models.versions_http import VersionText
from modelyard_registry.policies.domain import Apply
from modelyard_registry.routes.domain import ROUTED_ENVIRONMENT
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(tags=["approvals"], route_class=BoundedRoute)


class _Probed(TypedDict, total=False):
    """What an endpoint said before a decision, as the command takes it."""

    probing: Probing
    endpoint_probe: EndpointProbe


Judging = Callable[[Transaction, handlers.Judge], Awaitable[TransitionRequest]]
RequestId = Annotated[UUID, Path(description="The request's id, as its creation answered it.")]
REQUEST_PATH = "/transition-requests/{request_id}"


class Comment(Request):
    """What the person who decides wants to say."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"comment": "The bias audit is done."}]})

    comment: Reason | None = None


class NewEndpoint(NewDeployment):
    """Where the version is to answer once others agree, and why."""

    reason: Reason | None = None


@router.post(
    f"{VERSION_PATH}/transition-requests",
    status_code=201,
    response_model=TransitionRequestDocument,
    responses=problems(404, 409, 412),
    summary="Ask for a move that others must agree to",
    dependencies=[requires(Permission.VERSIONS_REQUEST_TRANSITION)],
)
async def post_transition_request(
    project: Project, name: ModelName, reference: VersionText, body: NewTransition, call: Caller
) -> Response:
    """Binds the request to artifact, evidence, endpoint, policy and champion as they are: people agree to just that."""
    command = await probed(call, transition_of(body, project=project, name=name, reference=reference))

    async def work(tx: Transaction) -> Answer:
        request = await requesting.request_transition(tx, command)
        return Answer(status=201, body=TransitionRequestDocument.of(request, now=tx.now))

    subject = subject_of_version(project, name, parse_reference(reference))
    return await carry_out(call, body, work, action=AuditAction.TRANSITION_REQUEST_CREATED, subject=subject)


@router.post(
    f"{DEPLOYMENTS_PATH}/production/requests",
    status_code=201,
    response_model=TransitionRequestDocument,
    responses=problems(404, 409, 412),
    summary="Ask for another endpoint of a version that can get traffic",
    dependencies=[requires(Permission.VERSIONS_REQUEST_TRANSITION)],
)
async def post_endpoint_request(
    project: Project, name: ModelName, reference: VersionText, body: NewEndpoint, call: Caller
) -> Response:
    """Where a version answers that can get traffic is part of what was approved; it moves when others agree again.

    The request is decided about like one for a move; `from_stage` and `to_stage` are the stage that it stays in.
    """
    deployment = command_of(body, project=project, name=name, reference=reference, environment=ROUTED_ENVIRONMENT)
    probing = await probe_deployment(call, deployment, skip_reason=body.skip_probe_reason)
    command = requesting.RequestEndpoint(deployment=deployment, reason=body.reason, probing=probing)

    async def work(tx: Transaction) -> Answer:
        request = await requesting.request_endpoint(tx, command)
        refuse_unless_outbound(call, body.url)
        return Answer(status=201, body=TransitionRequestDocument.of(request, now=tx.now))

    subject = subject_of_version(project, name, parse_reference(reference), below=f"/deployments/{ROUTED_ENVIRONMENT}")
    return await carry_out(call, body, work, action=AuditAction.TRANSITION_REQUEST_CREATED, subject=subject)


@router.get(
    "/transition-requests",
    responses=problems(),
    summary="List transition requests, newest first",
    dependencies=[requires(Permission.MODELS_READ)],
)
async def get_transition_requests(
    project: Project,
    call: Caller,
    paging: Paging,
    state: Annotated[RequestState | None, Query(description="Only requests in this state.")] = None,
    model: Annotated[Slug | None, Query(description="Only requests about this registered model.")] = None,
    number: Annotated[int | None, Query(ge=1, lt=2**31, description="Only requests about this version.")] = None,
    to_stage: Annotated[Stage | None, Query(description="Only requests for a move to this stage.")] = None,
    requested_by: Annotated[str | None, Query(max_length=200, description="Only what this actor asked for.")] = None,
    stale: Annotated[
        bool | None,
        Query(
            description="`true`: only requests that nobody can agree to, for something that they are bound to has"
            " changed; `false`: only others. A page of these may have fewer items than there are."
        ),
    ] = None,
) -> TransitionRequestPage:
    """What waits for a decision is in state `pending`; nobody can agree to what `is_stale` says is not any more so."""
    after = paging.after(UUID)
    wanted = store.Filter(model=model, number=number, to_stage=to_stage, requested_by=requested_by, state=state)
    now = call.services.clock()
    if stale is not None:
        return await _list_by_staleness(call, paging, wanted, project=project, is_stale=stale)
    async with call.services.database.reading() as connection:
        found = await store.list_requests(
            connection,
            wanted,
            project=project,
            before=after,
            now=now,
            limit=paging.limit,
        )
        changed = await changes_since(connection, found[: paging.size])
    return paging.page(
        TransitionRequestPage,
        found,
        of=lambda each: TransitionRequestDocument.of(each, now=now, changed=changed.get(each.id)),
        key=lambda each: each.id,
    )


async def _list_by_staleness(
    call: Call, paging: PageRequest, wanted: store.Filter, *, project: str, is_stale: bool
) -> TransitionRequestPage:
    now = call.services.clock()
    async with call.services.database.reading() as connection:
        found = await list_by_staleness(
            connection,
            wanted,
            is_stale=is_stale,
            project=project,
            before=paging.after(UUID),
            now=now,
            size=paging.size,
        )
    return TransitionRequestPage(
        items=[
            TransitionRequestDocument.of(each, now=now, changed=found.changed.get(each.id)) for each in found.requests
        ],
        next_page_token=None if found.next_before is None else encode_page_token([found.next_before]),
    )


@router.get(
    REQUEST_PATH,
    responses=problems(404),
    summary="Get a transition request",
    dependencies=[requires(Permission.MODELS_READ)],
)
async def get_transition_request(
    project: Project, request_id: RequestId, call: Caller, response: Response
) -> TransitionRequestDocument:
    """With what it is bound to, the gates' verdicts when it was made, and every decision. Decisions take its ETag."""
    async with call.services.database.reading() as connection:
        request = await store.get_request(connection, project=project, request_id=request_id)
        changed = await changes_since(connection, [request])
    response.headers.update(etag_of(request.revision))
    return TransitionRequestDocument.of(request, now=call.services.clock(), changed=changed.get(request.id))


@router.post(
    f"{REQUEST_PATH}/approve",
    response_model=TransitionRequestDocument,
    responses=problems(404, 409, 412),
    summary="Agree to a transition request",
    dependencies=[requires(Permission.VERSIONS_APPROVE)],
)
async def post_approve(project: Project, request_id: RequestId, body: Comment, call: Caller) -> Response:
    """The last approval that is needed makes the move, unless policy waits for `apply`."""
    return await _judge(
        call, body, handlers.approve, project=project, request_id=request_id, action=AuditAction.APPROVAL_GIVEN
    )


@router.post(
    f"{REQUEST_PATH}/reject",
    response_model=TransitionRequestDocument,
    responses=problems(404, 409, 412),
    summary="Say no to a transition request",
    dependencies=[requires(Permission.VERSIONS_APPROVE)],
)
async def post_reject(project: Project, request_id: RequestId, body: Comment, call: Caller) -> Response:
    """One rejection ends the request."""
    action = AuditAction.TRANSITION_REQUEST_REJECTED
    return await _judge(call, body, handlers.reject, project=project, request_id=request_id, action=action)


@router.post(
    f"{REQUEST_PATH}/withdraw",
    response_model=TransitionRequestDocument,
    responses=problems(404, 409, 412),
    summary="Take a transition request back",
    dependencies=[requires(Permission.VERSIONS_REQUEST_TRANSITION)],
)
async def post_withdraw(project: Project, request_id: RequestId, body: Comment, call: Caller) -> Response:
    """Only who made the request withdraws it."""
    action = AuditAction.TRANSITION_REQUEST_WITHDRAWN
    return await _judge(call, body, handlers.withdraw, project=project, request_id=request_id, action=action)


@router.post(
    f"{REQUEST_PATH}/apply",
    response_model=TransitionRequestDocument,
    responses=problems(404, 409, 412),
    summary="Make the move that was agreed to",
    dependencies=[requires(Permission.VERSIONS_TRANSITION)],
)
async def post_apply(project: Project, request_id: RequestId, body: Comment, call: Caller) -> Response:
    """Gates, approvers' roles and everything that was agreed to are looked at once more, under the lock."""
    action = AuditAction.TRANSITION_REQUEST_APPLIED
    return await _judge(call, body, handlers.apply, project=project, request_id=request_id, action=action)


async def _judge(
    call: Call,
    body: Comment,
    judge: Judging,
    *,
    project: str,
    request_id: UUID,
    action: AuditAction,
) -> Response:
    known = await _find(call, project=project, request_id=request_id)
    command = handlers.Judge(
        project=project,
        request_id=request_id,
        comment=body.comment,
        roles_of=roles_seen_by(call),
        **await _probe(call, known, judge=judge),
    )

    async def work(tx: Transaction) -> Answer:
        request = await judge(tx, command)
        return Answer(status=200, body=TransitionRequestDocument.of(request, now=tx.now))

    # The same subject for what is refused and for what is done.
    subject = Subject(
        project=project,
        path=f"transition-requests/{request_id}" if known is None else known.subject,
        revision=handlers.revision_of_request(project, request_id),
    )
    return await carry_out(call, body, work, action=action, subject=subject)


async def _find(call: Call, *, project: str, request_id: UUID) -> TransitionRequest | None:
    async with call.services.database.reading() as connection:
        try:
            return await store.get_request(connection, project=project, request_id=request_id)
        except store.TransitionRequestNotFoundError:
            return None


async def _probe(call: Call, known: TransitionRequest | None, *, judge: Judging) -> _Probed:
    """What the endpoint says, when this decision may do what was asked for."""
    does_it = judge is handlers.apply or (judge is handlers.approve and known and known.apply is Apply.AUTOMATICALLY)
    if known is None or not does_it:
        return {}
    if known.deployment is None:
        move = await probe_before(
            call.services, project=known.project, model=known.model, reference=known.number, to_stage=known.to_stage
        )
        return {"probing": move}
    if known.deployment.skip_probe_reason is not None:
        return {"endpoint_probe": EndpointProbe(skip_reason=known.deployment.skip_probe_reason)}
    endpoint = known.deployment.endpoint
    return {"endpoint_probe": await probe_endpoint(call.services, endpoint, owner=known.project)}
