"""Operations on access: issue, list and revoke API tokens; grant roles in a project."""

import re
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi import Request as HttpRequest
from modelyard_events.access import ProjectScope
from modelyard_events.actors import is_issuers_actor
from modelyard_events.limits import ACTOR_CHARS_MAX
from modelyard_events.values import Moment
from modelyard_runtime.access.permissions import Permission, Role
from modelyard_runtime.http.encoded_paths import decode_path_from
from modelyard_runtime.problems import InvalidRequestError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from modelyard_registry.access import store
from modelyard_registry.access.authentication import Authentication
from modelyard_registry.access.domain import ApiToken, Grant, IssueToken
from modelyard_registry.access.handlers import (
    audited_project,
    get_manageable_token,
    issue_token,
    managed_projects,
    revoke_token,
    set_grant,
)
from modelyard_registry.api import (
    Answer,
    Caller,
    Project,
    Request,
    Subject,
    carry_out,
    problems,
    requires,
    requires_somewhere,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Page, Paging
from modelyard_registry.projects.known import refuse_unknown_project
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

Actor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:+-]{0,199}$")]
"""A person or machine, by its name within a project, or as an identity provider vouches for it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,199}")

GRANTEE_SEGMENT = 7
"""Where an actor stands in `/api/v1/projects/{project}/access/grants/{actor}`."""


def _grantee(
    request: HttpRequest,
    actor: Annotated[
        str,
        Path(
            max_length=3 * ACTOR_CHARS_MAX,
            description="Whom an identity provider vouches for, percent-encoded.",
            examples=["corp:alice"],
        ),
    ],
) -> str:
    """The actor that the path names. `actor` still holds the slashes that were encoded as `%2F`."""
    actor = decode_path_from(request.scope, segment=GRANTEE_SEGMENT)
    if len(actor) > ACTOR_CHARS_MAX:
        raise InvalidRequestError(
            f"path.actor: has {len(actor)} characters; {ACTOR_CHARS_MAX} are the most.",
            fix="Name an actor whom an identity provider vouches for.",
        )
    if not (_NAME.fullmatch(actor) or is_issuers_actor(actor)):
        raise InvalidRequestError(
            "path.actor: is no actor.", fix="Write `provider:subject`, percent-encoded, as in corp:auth0%7C123."
        )
    return actor


Grantee = Annotated[str, Depends(_grantee)]

TokenId = Annotated[UUID, Path(description="The token's id, not the token.")]

tokens_router = APIRouter(prefix="/api/v1/access/tokens", tags=["access"], route_class=BoundedRoute)
grants_router = APIRouter(prefix="/access/grants", tags=["access"], route_class=BoundedRoute)


class NewApiToken(Request):
    """A token to issue. `project` may be `*` for all; `scopes` narrow what the roles permit."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "actor": "scoring-gateway",
                    "project": "default",
                    "roles": ["gateway"],
                    "expires_at": "2027-01-31T00:00:00Z",
                    "description": "the gateway in Frankfurt",
                }
            ]
        }
    )

    actor: Actor
    project: ProjectScope
    roles: Annotated[tuple[Role, ...], Field(min_length=1, max_length=20)]
    scopes: Annotated[tuple[Permission, ...], Field(max_length=50)] | None = None
    expires_at: Moment
    description: Annotated[str, Field(max_length=200)] | None = None

    def command(self) -> IssueToken:
        """What is asked for."""
        return IssueToken(
            actor=self.actor,
            project=self.project,
            roles=frozenset(self.roles),
            scopes=None if self.scopes is None else frozenset(self.scopes),
            expires_at=self.expires_at,
            description=self.description,
        )


class ApiTokenDocument(BaseModel):
    """A token as people may see it: `ending` are its last letters. `last_used_at` is right to the hour.

    `acts_as` is the actor that audit entries and approvals name: the name with the project that gave it out.
    """

    token_id: str
    ending: str
    actor: str
    project: str
    acts_as: str
    roles: list[Role]
    scopes: list[Permission] | None
    description: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    last_used_at: datetime | None


class IssuedApiTokenDocument(ApiTokenDocument):
    """A token that was issued. `token` is shown this once, and is null when the request is repeated."""

    token: str | None


class ApiTokenPage(Page[ApiTokenDocument]):
    """Some tokens, newest first."""


class NewGrant(Request):
    """The roles that an actor is to have in the project: exactly these, or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"roles": ["data_scientist", "approver"]}]})

    roles: Annotated[tuple[Role, ...], Field(max_length=20)]


class GrantDocument(BaseModel):
    """The roles of an actor in the project."""

    actor: str
    roles: list[Role]
    updated_at: datetime
    updated_by: str


class GrantPage(Page[GrantDocument]):
    """Some actors and their roles, by actor."""


@tokens_router.post(
    "",
    status_code=201,
    response_model=IssuedApiTokenDocument,
    responses=problems(404, 409),
    summary="Issue an API token",
    dependencies=[requires_somewhere(Permission.ACCESS_MANAGE)],
)
async def post_token(body: NewApiToken, call: Caller) -> Response:
    """Answers the token this once; the registry keeps its hash only. Nobody gives more than they may do themselves."""

    async def work(tx: Transaction) -> Answer:
        token, secret = await issue_token(tx, body.command(), issuer=call.principal)
        facts = _document(token).model_dump()
        return Answer(
            status=201,
            body=IssuedApiTokenDocument(**facts, token=secret),
            kept=IssuedApiTokenDocument(**facts, token=None),
        )

    subject = Subject(project=audited_project(body.project), path="access/tokens")
    return await carry_out(call, body, work, action=AuditAction.API_TOKEN_ISSUED, subject=subject)


@tokens_router.get(
    "",
    responses=problems(404),
    summary="List API tokens, newest first",
    dependencies=[requires_somewhere(Permission.ACCESS_MANAGE)],
)
async def get_tokens(
    call: Caller,
    paging: Paging,
    project: Annotated[
        ProjectScope | None,
        Query(description="Whose tokens; `*`: those for all projects. By default all that the caller manages."),
    ] = None,
) -> ApiTokenPage:
    """Expired and revoked ones, too. The tokens themselves are shown nowhere."""
    projects = managed_projects(call.principal, project)
    after = paging.after(UUID)
    async with call.services.database.reading() as connection:
        if project is not None:
            await refuse_unknown_project(connection, project, caller=call.principal)
        found = await store.list_tokens(connection, projects=projects, before=after, limit=paging.limit)
    return paging.page(ApiTokenPage, found, of=_document, key=lambda each: each.id)


@tokens_router.get(
    "/{token_id}",
    responses=problems(404),
    summary="Get an API token's record",
    dependencies=[requires_somewhere(Permission.ACCESS_MANAGE)],
)
async def get_token(token_id: TokenId, call: Caller) -> ApiTokenDocument:
    """What the token carries, until when, and when it was last used."""
    async with call.services.database.reading() as connection:
        return _document(await get_manageable_token(connection, token_id, manager=call.principal))


@tokens_router.delete(
    "/{token_id}",
    response_model=ApiTokenDocument,
    responses=problems(404, 409),
    summary="Revoke an API token",
    dependencies=[requires_somewhere(Permission.ACCESS_MANAGE)],
)
async def delete_token(token_id: TokenId, call: Caller, request: HttpRequest) -> Response:
    """Ends it for good, here at once and in every other service as soon as the news arrives."""
    async with call.services.database.reading() as connection:
        token = await get_manageable_token(connection, token_id, manager=call.principal)

    async def work(tx: Transaction) -> Answer:
        return Answer(status=200, body=_document(await revoke_token(tx, token_id, manager=call.principal)))

    subject = Subject(project=audited_project(token.project), path=f"access/tokens/{token_id}")
    answer = await carry_out(call, None, work, action=AuditAction.API_TOKEN_REVOKED, subject=subject)
    authentication: Authentication = request.app.state.authentication
    authentication.forget(token.token_hash)
    return answer


@grants_router.get(
    "", responses=problems(), summary="List who has which roles", dependencies=[requires(Permission.ACCESS_MANAGE)]
)
async def get_grants(project: Project, call: Caller, paging: Paging) -> GrantPage:
    """The roles that were granted to actors; what tokens carry themselves is listed with the tokens."""
    after = paging.after(str) or ""
    async with call.services.database.reading() as connection:
        found = await store.list_grants(connection, project=project, after=after, limit=paging.limit)
    return paging.page(GrantPage, found, of=_grant_document, key=lambda each: each.actor)


@grants_router.put(
    "/{actor}",
    response_model=GrantDocument,
    responses=problems(409),
    summary="Grant an actor its roles",
    dependencies=[requires(Permission.ACCESS_MANAGE)],
)
async def put_grant(project: Project, actor: Grantee, body: NewGrant, call: Caller) -> Response:
    """Replaces the roles that the actor had here. They count for whoever an identity provider says the actor is, as
    in `corp:alice`; they add nothing to API tokens, which carry their own roles.
    """

    async def work(tx: Transaction) -> Answer:
        grant = await set_grant(tx, project=project, actor=actor, roles=frozenset(body.roles), giver=call.principal)
        return Answer(status=200, body=_grant_document(grant))

    subject = Subject(project=project, path=f"access/grants/{actor}")
    return await carry_out(call, body, work, action=AuditAction.ROLES_GRANTED, subject=subject)


def _document(token: ApiToken) -> ApiTokenDocument:
    return ApiTokenDocument(
        token_id=token.id,
        ending=token.ending,
        actor=token.actor,
        project=token.project,
        acts_as=token.document().qualified_actor,
        roles=list(token.roles),
        scopes=None if token.scopes is None else list(token.scopes),
        description=token.description,
        created_at=token.created_at,
        created_by=token.created_by,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        revoked_by=token.revoked_by,
        last_used_at=token.last_used_at,
    )


def _grant_document(grant: Grant) -> GrantDocument:
    return GrantDocument(
        actor=grant.actor, roles=list(grant.roles), updated_at=grant.updated_at, updated_by=grant.updated_by
    )
