"""One authenticated request: what its headers say, and the services that it works with."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Header
from fastapi import Request as HttpRequest
from modelyard_events.spelling import Spelled
from modelyard_runtime.access.principals import Principal, Principals
from modelyard_runtime.clock import Clock
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.http.encoded_paths import normal_path
from modelyard_runtime.ids import NewId

from modelyard_registry.api.idempotency import KEY_CHARS_MAX
from modelyard_registry.api.inputs import READING
from modelyard_registry.api.preconditions import IF_MATCH_CHARS_MAX, parse_if_match, refuse_revisions
from modelyard_registry.api.requirements import authenticate_caller
from modelyard_registry.artifact_inspection.stored import Inspector
from modelyard_registry.artifact_stores.ports import ArtifactStore
from modelyard_registry.transactions import RequestContext, UnitOfWork
from modelyard_registry.transactions.database import Database

_TOKEN = r"^[!-~]{1,200}$"
Token = Annotated[str, Spelled(_TOKEN, words="is no name of a request: use 1 to 200 printable ASCII characters")]
"""A word of printable ASCII, as other systems make up to name a request."""

_IS_TOKEN = re.compile(_TOKEN)


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


def are_acceptable(
    *, request_id: str | None, correlation_id: str | None, idempotency_key: str | None, if_match: str | None
) -> bool:
    """Whether these headers are as `Caller` declares them, for a request that does not enter the framework."""
    names = (each for each in (request_id, correlation_id) if each is not None)
    return (
        all(_IS_TOKEN.fullmatch(each) is not None for each in names)
        and (idempotency_key is None or 1 <= len(idempotency_key) <= KEY_CHARS_MAX)
        and (if_match is None or len(if_match) <= IF_MATCH_CHARS_MAX)
    )


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
