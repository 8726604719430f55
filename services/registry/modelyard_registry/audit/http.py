"""Operations on the audit log: reading only, there is no way to write but by a change."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response, StreamingResponse
from modelyard_events.values import Moment
from modelyard_runtime.access.permissions import Permission
from pydantic import BaseModel, Field

from modelyard_registry.api import (
    Call,
    Caller,
    Project,
    problems,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Page, Paging
from modelyard_registry.audit.search import AuditQuery, FoundEntry, list_entries, search_entries

EXPORTED_AT_ONCE = 500
JSON_LINES = "application/x-ndjson"

router = APIRouter(tags=["audit"], route_class=BoundedRoute)

Filter = Annotated[str | None, Query(min_length=1, max_length=300)]


class AuditEntryDocument(BaseModel):
    """Who changed what, when, from what, to what and why.

    The hash is computed of all members but `log_index` and `hash` that are not null; see docs/reference/audit-log.md.
    """

    entry_id: str = Field(description="Names the entry.")
    log_index: int | None = Field(
        description="Its place in the log of all projects, without gaps; null until the entry is published."
    )
    project: str = Field(description="The project in which it happened.")
    actor: str = Field(description="Who did it.")
    action: str = Field(description="What was done; a refusal ends in `.refused`.")
    subject: str = Field(description="What it is about: the path of what changed, below its project.")
    recorded_at: datetime = Field(description="When it was recorded.")
    before: dict[str, Any] | None = Field(description="What differed, as it was before.")
    after: dict[str, Any] | None = Field(description="What differs, as it is since.")
    reason: str | None = Field(description="Why, in the words of whoever did it, or of the refusal.")
    digest: str | None = Field(description="The artifact that it is about.")
    request_id: str | None = Field(description="The request or the event by which it came.")
    previous_hash: str | None = Field(
        description="The hash of the entry before it about the same subject; null for the first, and for entries that"
        " are older than the chains."
    )
    hash: str | None = Field(description="Its own hash; null for entries that are older than the chains.")


class AuditEntryPage(Page[AuditEntryDocument]):
    """Some entries, newest first."""


def _filters(
    project: Project,
    subject: Annotated[Filter, Query(description="What was changed, and what lies below it.")] = None,
    actor: Annotated[Filter, Query(description="Who changed it.")] = None,
    action: Annotated[Filter, Query(description="What was done, such as `alias.moved`.")] = None,
    created_after: Annotated[Moment | None, Query(description="Recorded at this moment or later.")] = None,
    created_before: Annotated[Moment | None, Query(description="Recorded before this moment.")] = None,
) -> AuditQuery:
    return AuditQuery(
        project=project,
        subject=subject,
        actor=actor,
        action=action,
        recorded_from=created_after,
        recorded_until=created_before,
        position=None,
        limit=EXPORTED_AT_ONCE,
    )


Filters = Annotated[AuditQuery, Depends(_filters)]


@router.get(
    "/audit-entries",
    responses=problems(),
    summary="Search the audit log, newest first",
    dependencies=[requires(Permission.AUDIT_READ)],
)
async def get_audit_entries(
    query: Filters,
    call: Caller,
    paging: Paging,
) -> AuditEntryPage:
    """Every change of the project and every refusal; a refusal's action ends in `.refused`."""
    after = paging.after(UUID)
    wanted = replace(query, position=after, limit=paging.limit)
    async with call.services.database.reading() as connection:
        found = await search_entries(connection, wanted)
    return paging.page(AuditEntryPage, found, of=_document, key=lambda each: each.entry.id)


@router.get(
    "/audit-entries/export",
    response_class=Response,
    responses={
        **problems(),
        200: {
            "description": "One entry per line, oldest first; a transfer that breaks off is not the whole",
            "content": {JSON_LINES: {"schema": {"type": "string"}}},
        },
    },
    summary="Export audit entries as JSON Lines",
    dependencies=[requires(Permission.AUDIT_READ)],
)
async def get_audit_export(query: Filters, call: Caller) -> Response:
    """All entries that match, with the filters of the search; what is recorded meanwhile may be among them."""
    first = await _next_entries(call, query)
    return StreamingResponse(_lines(call, query, first), media_type=JSON_LINES)


async def _lines(call: Call, query: AuditQuery, found: list[FoundEntry]) -> AsyncIterator[bytes]:
    # Page by page, so that neither memory nor a connection is held for as long as a slow reader takes.
    while found:
        yield b"".join(_document(each).model_dump_json().encode() + b"\n" for each in found)
        if len(found) < query.limit:
            return
        found = await _next_entries(call, replace(query, position=found[-1].entry.id))


async def _next_entries(call: Call, query: AuditQuery) -> list[FoundEntry]:
    async with call.services.database.reading() as connection:
        return list(await list_entries(connection, query))


def _document(found: FoundEntry) -> AuditEntryDocument:
    entry = found.entry
    return AuditEntryDocument(
        entry_id=str(entry.id),
        log_index=found.log_index,
        project=entry.project,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        recorded_at=entry.recorded_at,
        before=entry.before,
        after=entry.after,
        reason=entry.reason,
        digest=entry.digest,
        request_id=entry.request_id,
        previous_hash=entry.previous_hash,
        hash=found.hash,
    )
