"""Operations on signing keys: register, list, get and revoke. Only public halves come here."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from modelyard_events.access import ProjectScope
from modelyard_events.values import Moment, Slug
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.ed25519 import PUBLIC_KEY_BYTES
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from modelyard_registry.access.handlers import audited_project, managed_projects
from modelyard_registry.access.http import Actor
from modelyard_registry.api import (
    Answer,
    Caller,
    Request,
    Subject,
    carry_out,
    problems,
    requires_somewhere,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Page, Paging
from modelyard_registry.projects.known import refuse_unknown_project
from modelyard_registry.signing_keys import store
from modelyard_registry.signing_keys.domain import RegisterSigningKey, SigningKey
from modelyard_registry.signing_keys.handlers import (
    get_manageable_key,
    register_signing_key,
    revoke_signing_key,
)
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

IngestTopic = Literal["training-runs.v1", "entity-changes.v1"]
"""A topic that others than Modelyard write to."""

KeyId = Annotated[UUID, Path(description="The key's id, as signed events carry it.")]

router = APIRouter(prefix="/api/v1/access/signing-keys", tags=["access"], route_class=BoundedRoute)


def _parsed(text: str) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64") from error
    if len(raw) != PUBLIC_KEY_BYTES:
        raise ValueError(f"must be the {PUBLIC_KEY_BYTES} bytes of an Ed25519 public key in base64")
    return text


PublicKey = Annotated[str, Field(max_length=100), AfterValidator(_parsed)]


class NewSigningKey(Request):
    """A key to register. `project` may be `*` for all; `tenants` narrow what its events may be about."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "actor": "nightly-training",
                    "project": "default",
                    "topics": ["training-runs.v1"],
                    "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                    "expires_at": "2027-01-31T00:00:00Z",
                    "description": "the training cluster in Frankfurt",
                }
            ]
        }
    )

    actor: Actor
    project: ProjectScope
    topics: Annotated[tuple[IngestTopic, ...], Field(min_length=1, max_length=10)]
    tenants: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=1_000)] | None = None
    public_key: PublicKey
    expires_at: Moment
    description: Annotated[str, Field(max_length=200)] | None = None

    def command(self) -> RegisterSigningKey:
        """What is asked for."""
        return RegisterSigningKey(
            actor=self.actor,
            project=self.project,
            topics=frozenset(self.topics),
            tenants=None if self.tenants is None else frozenset(self.tenants),
            public_key=base64.b64decode(self.public_key),
            expires_at=self.expires_at,
            description=self.description,
        )


class SigningKeyDocument(BaseModel):
    """A signing key: events signed with its private half count as `actor`'s while it is alive."""

    key_id: str
    public_key: str
    actor: str
    project: str
    acts_as: str
    topics: list[str]
    tenants: list[str] | None
    description: str | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None


class SigningKeyPage(Page[SigningKeyDocument]):
    """Some keys, newest first."""


@router.post(
    "",
    status_code=201,
    response_model=SigningKeyDocument,
    responses=problems(404, 409),
    summary="Register a signing key",
    dependencies=[requires_somewhere(Permission.ACCESS_MANAGE)],
)
async def post_signing_key(body: NewSigningKey, call: Caller) -> Response:
    """Nobody lets a key do more than they may do themselves. The answer's `key_id` goes with each signed event."""

    async def work(tx: Transaction) -> Answer:
        return Answer(
            status=201, body=_document(await register_signing_key(tx, body.command(), manager=call.principal))
        )

    subject = Subject(project=audited_project(body.project), path="access/signing-keys")
    return await carry_out(call, body, work, action=AuditAction.SIGNING_KEY_REGISTERED, subject=subject)


@router.get(
    "",
    responses=problems(),
    summary="List signing keys, newest first",
    dependencies=[requires_somewhere(Permission.ACCESS_MANAGE)],
)
async def get_signing_keys(
    call: Caller,
    paging: Paging,
    project: Annotated[
        ProjectScope | None,
        Query(description="Whose keys; `*`: those for all projects. By default all that the caller manages."),
    ] = None,
) -> SigningKeyPage:
    """Expired and revoked ones, too."""
    projects = managed_projects(call.principal, project)
    after = paging.after(UUID)
    async with call.services.database.reading() as connection:
        if project is not None:
            await refuse_unknown_project(connection, project, caller=call.principal)
        found = await store.list_keys(connection, projects=projects, before=after, limit=paging.limit)
    return paging.page(SigningKeyPage, found, of=_document, key=lambda each: each.id)


@router.get(
    "/{key_id}",
    responses=problems(404),
    summary="Get a signing key",
    dependencies=[requires_somewhere(Permission.ACCESS_MANAGE)],
)
async def get_signing_key(key_id: KeyId, call: Caller) -> SigningKeyDocument:
    """Whose events it proves, on which topics, until when."""
    async with call.services.database.reading() as connection:
        return _document(await get_manageable_key(connection, key_id, manager=call.principal))


@router.delete(
    "/{key_id}",
    response_model=SigningKeyDocument,
    responses=problems(404, 409),
    summary="Revoke a signing key",
    dependencies=[requires_somewhere(Permission.ACCESS_MANAGE)],
)
async def delete_signing_key(key_id: KeyId, call: Caller) -> Response:
    """Ends it for good, here within a second and in other services when the news arrives; what came before stays."""
    async with call.services.database.reading() as connection:
        key = await get_manageable_key(connection, key_id, manager=call.principal)

    async def work(tx: Transaction) -> Answer:
        return Answer(status=200, body=_document(await revoke_signing_key(tx, key_id, manager=call.principal)))

    subject = Subject(project=audited_project(key.project), path=key.subject)
    return await carry_out(call, None, work, action=AuditAction.SIGNING_KEY_REVOKED, subject=subject)


def _document(key: SigningKey) -> SigningKeyDocument:
    return SigningKeyDocument(
        key_id=key.id,
        public_key=key.public_key_text,
        actor=key.actor,
        project=key.project,
        acts_as=key.document().qualified_actor,
        topics=list(key.topics),
        tenants=None if key.tenants is None else list(key.tenants),
        description=key.description,
        created_at=key.created_at,
        created_by=key.created_by,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        revoked_by=key.revoked_by,
    )
