"""Operations that verify the audit log: a subject, a project, a time range of it, or all of it."""

from typing import Annotated

from fastapi import APIRouter, Query
from modelyard_events.values import Moment
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.problems import InvalidRequestError, NotFoundError
from pydantic import BaseModel, Field

from modelyard_registry.api import (
    Call,
    Caller,
    Project,
    problems,
    requires,
    requires_everywhere,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import PageToken, decode_page_token, encode_page_token
from modelyard_registry.audit.chain import Break, Verified, Walk, is_subject, verify

router = APIRouter(tags=["audit"], route_class=BoundedRoute)
whole_log_router = APIRouter(prefix="/api/v1", tags=["audit"], route_class=BoundedRoute)

WILDCARD = "*"

From = Annotated[Moment | None, Query(description="Only what was recorded at this moment or later.")]
Until = Annotated[Moment | None, Query(description="Only what was recorded before this moment.")]
Continuation = Annotated[
    PageToken, Query(max_length=1_000, description="`next_page_token` of the answer before: goes on where it stopped.")
]


class AuditSubjectNotFoundError(NotFoundError):
    """Nothing was ever recorded about this subject."""

    code = "audit-subject-not-found"
    when = "The audit log of the project has no entry about this subject."
    fix = (
        "Name a subject as entries have it, such as registered-models/risk/versions/3; leave `subject` out to verify "
        "all of the project."
    )


class AuditSubjectInvalidError(InvalidRequestError):
    """A subject is named whole, not by a pattern."""

    code = "audit-subject-invalid"
    when = "`subject` holds a pattern, and verification takes exact subjects only."
    fix = "Leave `subject` out to verify all of the project, or name one subject as entries have it."


class BreakDocument(BaseModel):
    """Where a chain is broken."""

    project: str = Field(description="The project of the chain.")
    subject: str = Field(description="What the chain is about.")
    place: int = Field(description="Which entry of the chain it is, counted from 1.")
    entry_id: str | None = Field(description="The entry that does not hold; null when one is missing.")
    reason: str = Field(description="What is wrong, as a sentence.")

    @classmethod
    def of(cls, broken: Break) -> "BreakDocument":
        """The document about `broken`."""
        return cls(
            project=broken.project,
            subject=broken.subject,
            place=broken.place,
            entry_id=str(broken.entry_id) if broken.entry_id else None,
            reason=broken.reason,
        )


class VerificationDocument(BaseModel):
    """Whether audit entries are still those that were written, every hash computed anew."""

    project: str | None = Field(description="The project that was looked at; null for all of them.")
    subject: str | None = Field(description="The subject that was looked at; null for all of them.")
    intact: bool = Field(description="Whether everything that this request looked at holds.")
    complete: bool = Field(
        description="Whether the end was reached. If not, send `next_page_token` as `page_token` to go on."
    )
    entries: int = Field(description="How many entries hold, among those that this request looked at.")
    unchained_entries: int = Field(
        description="How many entries are older than the chains and so not proved; counted by the first request."
    )
    last_hash: str | None = Field(
        description="The hash that proves a subject's entries: note it, or compare it with the log on Kafka."
        " Null unless the request names a subject."
    )
    broken_at: str | None = Field(description="The first entry that does not hold; null when one is missing.")
    broken_place: int | None = Field(description="The place of the first break in its chain, counted from 1.")
    reason: str | None = Field(description="What is wrong at the first break, as a sentence.")
    broken: list[BreakDocument] = Field(description="The breaks that were found, at most about a hundred.")
    next_page_token: str | None = Field(description="Where to go on; null at the end.")


@router.get(
    "/audit-entries/verify",
    responses=problems(404),
    summary="Verify a project's audit entries",
    dependencies=[requires(Permission.AUDIT_READ)],
)
async def get_audit_verification(
    project: Project,
    call: Caller,
    subject: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=300,
            description="Exactly this subject, not what lies below it; all subjects of the project when absent.",
            examples=["registered-models/loan-risk/versions/3"],
        ),
    ] = None,
    created_after: From = None,
    created_before: Until = None,
    page_token: Continuation = None,
) -> VerificationDocument:
    """Computes every hash anew, and says which entries were changed or are missing. With moments it looks at what was
    recorded between them. It looks at some thousands of entries at once: go on while `complete` is false."""
    if subject is not None:
        await _refuse_unknown_subject(call, project=project, subject=subject)
    walk = Walk(
        project=project,
        subject=subject,
        recorded_from=created_after,
        recorded_until=created_before,
        after=_position(page_token),
    )
    return await _verified(call, walk)


@whole_log_router.get(
    "/audit-entries/verify",
    responses=problems(),
    summary="Verify the audit entries of all projects",
    dependencies=[requires_everywhere(Permission.AUDIT_READ)],
)
async def get_whole_log_verification(
    call: Caller, created_after: From = None, created_before: Until = None, page_token: Continuation = None
) -> VerificationDocument:
    """As the verification of one project, for whoever may read the audit log of all."""
    walk = Walk(project=None, recorded_from=created_after, recorded_until=created_before, after=_position(page_token))
    return await _verified(call, walk)


async def _verified(call: Call, walk: Walk) -> VerificationDocument:
    found = await verify(call.services.database.reading, walk)
    first = found.breaks[0] if found.breaks else None
    return VerificationDocument(
        project=walk.project,
        subject=walk.subject,
        intact=not found.breaks,
        complete=found.stopped_at is None,
        entries=found.entries,
        unchained_entries=found.unchained,
        last_hash=found.last_hash if walk.subject is not None else None,
        broken_at=str(first.entry_id) if first and first.entry_id else None,
        broken_place=first.place if first else None,
        reason=first.reason if first else None,
        broken=[BreakDocument.of(each) for each in found.breaks],
        next_page_token=_token(found),
    )


async def _refuse_unknown_subject(call: Call, *, project: str, subject: str) -> None:
    async with call.services.database.reading() as connection:
        if await is_subject(connection, project=project, subject=subject):
            return
    if WILDCARD in subject:
        raise AuditSubjectInvalidError(f"{subject[:100]!r} names no subject: there are no patterns.")
    raise AuditSubjectNotFoundError(
        f"Nothing was ever recorded about {subject[:300]} in the project {project}.",
        fix="Name a subject as entries have it, such as registered-models/risk/versions/3; GET …/audit-entries?subject="
        " finds them, with what lies below. Leave `subject` out to verify all of the project.",
    )


def _position(page_token: str | None) -> tuple[str, str, int] | None:
    position = decode_page_token(page_token, shape=(str, str, int))
    return None if position is None else (position[0], position[1], position[2])


def _token(found: Verified) -> str | None:
    return None if found.stopped_at is None else encode_page_token([*found.stopped_at])
