"""What every operation of the API shares: who calls, how a change is carried out once."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Header, Path
from fastapi import Request as HttpRequest
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from modelyard_events.exact_values import ExactValue
from modelyard_events.limits import REASON_CHARS_MAX
from modelyard_events.spelling import Spelled
from modelyard_events.values import Slug
from modelyard_runtime.clock import Clock
from modelyard_runtime.encoded_paths import normal_path
from modelyard_runtime.fetch import Fetcher, FetchRefusedError
from modelyard_runtime.ids import NewId
from modelyard_runtime.permissions import ALL_PROJECTS, Permission
from modelyard_runtime.principals import Principal, Principals, lacking
from modelyard_runtime.problems import ConflictError, InvalidRequestError, documented
from pydantic import BaseModel, Field

from modelyard_registry.artifact_inspection.stored import Inspector
from modelyard_registry.artifact_stores.ports import ArtifactStore
from modelyard_registry.idempotency import KEY_CHARS_MAX, claim_key, digest_of_request, keep_answer
from modelyard_registry.metrics import REFUSALS
from modelyard_registry.preconditions import (
    IF_MATCH_CHARS_MAX,
    ReadRevision,
    check_revision,
    etag_headers,
    etag_of,
    parse_if_match,
    refuse_revisions,
)
from modelyard_registry.refused import Subject, record_refusal
from modelyard_registry.transactions import RequestContext, Transaction, UnitOfWork
from modelyard_registry.transactions.audit_actions import AuditAction
from modelyard_registry.transactions.database import Database

DEFAULT_PROJECT = "default"

Project = Annotated[Slug, Path(description="The project that owns the names.", examples=["default"])]
ModelName = Annotated[Slug, Path(description="The registered model's name.", examples=["loan-risk"])]
_TOKEN = r"^[!-~]{1,200}$"
Token = Annotated[str, Spelled(_TOKEN, words="is no name of a request: use 1 to 200 printable ASCII characters")]
"""A word of printable ASCII, as other systems make up to name a request."""

Reason = Annotated[str, Field(max_length=REASON_CHARS_MAX)]

READING = frozenset({"GET", "HEAD"})
"""The methods that change nothing: to them an Idempotency-Key and an If-Match mean nothing."""

_IS_TOKEN = re.compile(_TOKEN)
_SCHEME = HTTPBearer(auto_error=False, description="A token that the operators gave out.")


class Request(ExactValue):
    """A body that a caller sends. A field that is not known is refused: it is most likely a typing error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the operations work with; `app.py` puts it into `app.state.services`."""

    principals: Principals
    database: Database
    unit_of_work: UnitOfWork
    artifacts: ArtifactStore
    inspector: Inspector = field(default_factory=Inspector)
    artifact_bytes_max: int
    outbound: Fetcher
    clock: Clock
    new_id: NewId
    probes_endpoints: bool = True
    """Whether an endpoint is asked before its version moves to where it gets traffic, unless policy waives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One authenticated request."""

    services: Services
    principal: Principal
    context: RequestContext
    address: str
    """Method, path and query: what the request is about. The order of the parameters means nothing."""
    idempotency_key: str | None
    if_match: frozenset[int] | None
    """The revisions that the caller wants to change; None when any will do."""


class OutboundUrlRefusedError(InvalidRequestError):
    """The URL leads where Modelyard's services may not ask."""

    code = "outbound-url-refused"
    when = "A URL in the request leads to an address that the services may not call."
    fix = "Give a public address, or ask the operators to list its network in MODELYARD_OUTBOUND_ALLOW."


def is_token(text: str) -> bool:
    """Whether `text` is a `Token`."""
    return _IS_TOKEN.fullmatch(text) is not None


def refuse_unless_outbound(call: Call, url: str) -> None:
    """Judge a URL as the services will that ask it. Names are not resolved here: they are judged at each request.

    Raises OutboundUrlRefusedError.
    """
    try:
        call.services.outbound.refuse_unless_allowed(url)
    except FetchRefusedError as error:
        raise OutboundUrlRefusedError(
            f"The URL is not allowed: {error}.",
            fix="Give a public address, or ask the operators to list its network in MODELYARD_OUTBOUND_ALLOW.",
        ) from error


async def authenticate_caller(
    request: HttpRequest, _: Annotated[HTTPAuthorizationCredentials | None, Depends(_SCHEME)]
) -> Principal:
    """Who calls; the gate has found it out before the request came here."""
    principal: Principal = request.state.principal
    return principal


class Requirement:
    """What an operation needs its caller to be permitted, as a FastAPI dependency; see `requires`."""

    def __init__(self, permission: Permission, *, somewhere: bool = False, everywhere: bool = False) -> None:
        self.permission = permission
        self._somewhere = somewhere
        self._everywhere = everywhere

    async def __call__(
        self, request: HttpRequest, principal: Annotated[Principal, Depends(authenticate_caller)]
    ) -> None:
        """Raise ForbiddenError unless the principal may do it in the project that the path names.

        A path that names none is about the project `default`, or about whichever its handler judges. Raises
        ProjectNotFoundError when the path names one that is not there.
        """
        self._judge(request, principal)
        if "project" in request.path_params:
            await refuse_unknown(request, principal, request.path_params["project"])

    def refuse_before_reading(self, request: HttpRequest) -> None:
        """Judge by what comes before the body. Raises ForbiddenError."""
        self._judge(request, request.state.principal)

    def _judge(self, request: HttpRequest, principal: Principal) -> None:
        if self._everywhere:
            principal.refuse_unless_may(self.permission, ALL_PROJECTS)
            return
        if self._somewhere:
            if not principal.may_somewhere(self.permission):
                raise lacking(principal, self.permission, where="any project")
            return
        principal.refuse_unless_may(self.permission, request.path_params.get("project", DEFAULT_PROJECT))


async def refuse_unknown(request: HttpRequest, principal: Principal, project: str) -> None:
    """Raise ProjectNotFoundError when there is no such project. Called once the caller may act there if it is."""
    await request.app.state.known_projects.refuse_unless_known(project, caller=principal)


def requires(permission: Permission) -> Any:
    """The permission that an operation needs: `dependencies=[requires(Permission.MODELS_READ)]`."""
    return Depends(Requirement(permission))


def requires_somewhere(permission: Permission) -> Any:
    """The permission that an operation needs in some project; which one it is, its handler judges."""
    return Depends(Requirement(permission, somewhere=True))


def requires_everywhere(permission: Permission) -> Any:
    """The permission that an operation needs in all projects."""
    return Depends(Requirement(permission, everywhere=True))


async def _call(
    request: HttpRequest,
    principal: Annotated[Principal, Depends(authenticate_caller)],
    x_request_id: Annotated[
        Token | None, Header(description="Names the request in logs and audit entries; made up when absent.")
    ] = None,
    x_correlation_id: Annotated[
        Token | None, Header(description="Names the whole story that the request belongs to.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=KEY_CHARS_MAX,
            description="The same key again gets the first answer again, for 24 hours.",
        ),
    ] = None,
    if_match: Annotated[
        str | None,
        Header(max_length=IF_MATCH_CHARS_MAX, description="Change it only while this is still its ETag, else 412."),
    ] = None,
) -> Call:
    reads = request.method in READING
    return call_of(
        request.app.state.services,
        principal,
        address=address_of(request.method, normal_path(request.scope), request.query_params.multi_items()),
        request_id=x_request_id,
        correlation_id=x_correlation_id,
        idempotency_key=None if reads else idempotency_key,
        if_match=None if reads else if_match,
    )


def address_of(method: str, path: str, query: Sequence[tuple[str, str]] = ()) -> str:
    """Method, normal path and query in one spelling. Several parameters of one name stay in their order."""
    text = urlencode(sorted(query, key=lambda pair: pair[0]))
    return f"{method} {path}?{text}" if text else f"{method} {path}"


def call_of(
    services: Services,
    principal: Principal,
    *,
    address: str,
    request_id: str | None,
    correlation_id: str | None,
    idempotency_key: str | None,
    if_match: str | None,
) -> Call:
    """An authenticated request, by what its headers say. Raises IfMatchInvalidError."""
    request_id = request_id or services.new_id()
    return Call(
        services=services,
        principal=principal,
        context=RequestContext(
            actor=principal.actor,
            request_id=request_id,
            correlation_id=correlation_id or request_id,
            causation_id=None,
            identity=principal.identity,
        ),
        address=address,
        idempotency_key=idempotency_key,
        if_match=parse_if_match(if_match),
    )


Caller = Annotated[Call, Depends(_call)]
"""The authenticated request as an operation's parameter; without a known token the answer is 401."""


def _refuse_if_match(call: Caller) -> None:
    refuse_revisions(call.if_match)


NO_ETAG: Any = Depends(_refuse_if_match)
"""For operations outside `carry_out` that change nothing with an ETag: `dependencies=[requires(…), NO_ETAG]`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a change answers: a status and a body.

    `kept` is what a repeated request is answered, when that must differ: a secret is shown once and kept nowhere.
    """

    status: int
    body: BaseModel
    kept: BaseModel | None = None


async def carry_out(
    call: Call,
    body: BaseModel | None,
    work: Callable[[Transaction], Awaitable[Answer]],
    *,
    project: str,
    action: AuditAction,
    subject: Subject,
    revision: ReadRevision | None = None,
) -> Response:
    """Do `work` in one transaction, once per `Idempotency-Key`, and answer what it answers.

    `revision` reads what `If-Match` is compared with. A refusal (409, 412) undoes everything and is recorded
    as `<action>.refused` about `subject`, in a transaction of its own.
    """
    try:
        async with call.services.unit_of_work(call.context) as tx:
            return await _once(call, body, work, revision, tx=tx)
    except ConflictError as refusal:
        REFUSALS.labels(refusal.code).inc()
        async with call.services.unit_of_work(call.context) as tx:
            await record_refusal(tx, refusal, project=project, action=action, subject=subject)
        raise


async def _once(
    call: Call,
    body: BaseModel | None,
    work: Callable[[Transaction], Awaitable[Answer]],
    revision: ReadRevision | None,
    *,
    tx: Transaction,
) -> Response:
    if call.idempotency_key is None:
        await check_revision(tx, accepted=call.if_match, read=revision)
        return json_response(await work(tx))
    request = digest_of_request(call.address, body, if_match=call.if_match)
    kept = await claim_key(tx, call.idempotency_key, request=request)
    if kept is not None:
        return Response(
            json.dumps(kept.answer),
            status_code=kept.status,
            media_type="application/json",
            headers={"idempotency-replayed": "true", **etag_of(kept.answer.get("revision"))},
        )
    await check_revision(tx, accepted=call.if_match, read=revision)
    answer = await work(tx)
    lasting = (answer.kept or answer.body).model_dump(mode="json")
    await keep_answer(tx, call.idempotency_key, status=answer.status, answer=lasting)
    return json_response(answer)


def json_response(answer: Answer) -> Response:
    """The HTTP answer for an `Answer`."""
    return Response(
        answer.body.model_dump_json(),
        status_code=answer.status,
        media_type="application/json",
        headers=etag_headers(answer.body),
    )


_DESCRIPTIONS = {
    400: "The body is not what its headers say",
    401: "No token, or one that nobody holds",
    403: "The caller is known and lacks the permission; `fix` names the roles that have it",
    404: "There is no such thing; `detail` says what is missing",
    409: "The present state does not allow it; `fix` says what would",
    412: "It is not any more what `If-Match` says; `revision` is the present one",
    413: "The body is larger than this operation reads",
    415: "The body is not JSON in UTF-8 by its headers; `fix` says which header to send",
    422: "The request is malformed; `errors` lists the fields",
    503: "A part that is needed is away for the moment; try again after `Retry-After` seconds",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of error answers, for `responses=`; 401, 403, 422 and 503 are always among them."""
    return documented({status: _DESCRIPTIONS[status] for status in sorted({401, 403, 422, 503, *statuses})})
