"""The HTTP door to aliases: list, get, set by compare-and-set, delete."""

from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from modelyard_events.values import Slug
from modelyard_runtime.access.permissions import Permission
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from modelyard_registry.aliases import store
from modelyard_registry.aliases.domain import without_at
from modelyard_registry.aliases.handlers import MoveAlias, alias_not_found, delete_alias, set_alias
from modelyard_registry.api import (
    Answer,
    Caller,
    ModelName,
    Project,
    Reason,
    Request,
    Subject,
    carry_out,
    problems,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Page, Paging
from modelyard_registry.models.store import get_model
from modelyard_registry.models.visibility import get_visible_model, stage_seen_by
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction
from modelyard_registry.transactions.database import Connection

router = APIRouter(prefix="/registered-models/{name}/aliases", tags=["aliases"], route_class=BoundedRoute)

AliasName = Annotated[
    Slug,
    BeforeValidator(without_at),
    Path(description="The alias, with or without the `@` of version paths.", examples=["stable"]),
]
Number = Annotated[int, Field(ge=1, lt=2**31)]
EXAMPLES: list[Any] = [{"number": 3, "expected": 2, "reason": "three weeks without an incident"}]


class NewAlias(Request):
    """Which version the alias is to point at.

    `expected` is the number that it points at now, null when there is no such alias; left out, it does not matter.
    """

    model_config = ConfigDict(json_schema_extra={"examples": EXAMPLES})

    number: Number
    expected: Number | None = None
    reason: Reason | None = None


class AliasDocument(BaseModel):
    """An alias, and since when it points at this version; `number` is null once it is deleted."""

    model: str
    alias: str
    number: int | None
    moved_at: datetime
    moved_by: str

    @classmethod
    def of(cls, alias: store.Alias, *, model: str) -> Self:
        """The document about `alias`."""
        return cls(
            model=model, alias=alias.alias, number=alias.number, moved_at=alias.moved_at, moved_by=alias.moved_by
        )


class AliasPage(Page[AliasDocument]):
    """Some aliases, by name."""


@router.get(
    "",
    responses=problems(404),
    summary="List a registered model's aliases",
    dependencies=[requires(Permission.MODELS_READ_PRODUCTION)],
)
async def get_aliases(
    project: Project,
    name: ModelName,
    call: Caller,
    paging: Paging,
) -> AliasPage:
    """By name; `champion` is among them."""
    after = paging.after(str) or ""
    async with call.services.database.reading() as connection:
        model = await get_visible_model(connection, call, project=project, name=name)
        found = await store.list_aliases(
            connection,
            registered_model_id=model.id,
            after=after,
            limit=paging.limit,
            stage=stage_seen_by(call, project=project),
        )
    return paging.page(
        AliasPage, found, of=lambda each: AliasDocument.of(each, model=name), key=lambda each: each.alias
    )


@router.get(
    "/{alias}",
    responses=problems(404),
    summary="Get an alias",
    dependencies=[requires(Permission.MODELS_READ_PRODUCTION)],
)
async def get_alias(project: Project, name: ModelName, alias: AliasName, call: Caller) -> AliasDocument:
    """Which version it points at."""
    async with call.services.database.reading() as connection:
        model = await get_visible_model(connection, call, project=project, name=name)
        if alias not in model.aliases:
            raise alias_not_found(model, alias)
        return await _document(connection, project=project, name=name, alias=alias)


@router.put(
    "/{alias}",
    response_model=AliasDocument,
    responses=problems(404, 409),
    summary="Point an alias at a version",
    dependencies=[requires(Permission.VERSIONS_WRITE)],
)
async def put_alias(project: Project, name: ModelName, alias: AliasName, body: NewAlias, call: Caller) -> Response:
    """Compare and set, when `expected` is given. `champion` moves by promotion and rollback only."""
    command = MoveAlias(
        project=project,
        model=name,
        alias=alias,
        number=body.number,
        expected=body.expected,
        is_expected="expected" in body.model_fields_set,
        roles=call.principal.roles_in(project),
        reason=body.reason,
    )

    async def work(tx: Transaction) -> Answer:
        await set_alias(tx, command)
        return Answer(status=200, body=await _document(tx.connection, project=project, name=name, alias=alias))

    subject = Subject(project=project, path=f"registered-models/{name}/aliases/{alias}")
    return await carry_out(call, body, work, action=AuditAction.ALIAS_MOVED, subject=subject)


@router.delete(
    "/{alias}",
    response_model=AliasDocument,
    responses=problems(404, 409),
    summary="Delete an alias",
    dependencies=[requires(Permission.VERSIONS_WRITE)],
)
async def delete_one_alias(
    project: Project,
    name: ModelName,
    alias: AliasName,
    call: Caller,
    expected: Annotated[int | None, Query(ge=1, lt=2**31, description="The number that it points at now.")] = None,
) -> Response:
    """The version that it pointed at stays as it is."""
    command = MoveAlias(
        project=project,
        model=name,
        alias=alias,
        number=None,
        expected=expected,
        is_expected=expected is not None,
        roles=call.principal.roles_in(project),
        reason=None,
    )

    async def work(tx: Transaction) -> Answer:
        await delete_alias(tx, command)
        gone = AliasDocument(model=name, alias=alias, number=None, moved_at=tx.now, moved_by=tx.context.actor)
        return Answer(status=200, body=gone)

    subject = Subject(project=project, path=f"registered-models/{name}/aliases/{alias}")
    return await carry_out(call, None, work, action=AuditAction.ALIAS_MOVED, subject=subject)


async def _document(connection: Connection, *, project: str, name: str, alias: str) -> AliasDocument:
    model = await get_model(connection, project=project, name=name)
    found = await store.list_aliases(connection, registered_model_id=model.id, after="", alias=alias, limit=1)
    if not found:
        raise alias_not_found(model, alias)
    return AliasDocument.of(found[0], model=name)
