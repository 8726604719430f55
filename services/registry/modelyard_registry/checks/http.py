"""Operations on the checks of a version: record one, list them."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response
from modelyard_events.limits import TEXT_CHARS_MAX, URL_CHARS_MAX
from modelyard_events.values import Digest
from modelyard_runtime.access.permissions import Permission
from pydantic import BaseModel, ConfigDict, Field

from modelyard_registry.api import (
    Answer,
    Caller,
    ModelName,
    Project,
    Request,
    Subject,
    carry_out,
    problems,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Page, Paging
from modelyard_registry.checks import store
from modelyard_registry.checks.domain import Check, CheckKind, CheckOutcome
from modelyard_registry.checks.handlers import RecordCheck, record_check
from modelyard_registry.models.domain import parse_reference
from modelyard_registry.models.store import get_version
from modelyard_registry.models.versions_http import VersionText
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

router = APIRouter(tags=["model versions"], route_class=BoundedRoute)

PATH = "/registered-models/{name}/versions/{reference}/checks"


class NewCheck(Request):
    """What a service found when it tested or scanned the artifact of a version."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "security_scan",
                    "outcome": "passed",
                    "digest": "sha256:" + "9f" * 32,
                    "report_url": "https://scans.example.com/reports/4711",
                }
            ]
        }
    )

    kind: CheckKind = Field(description="What was done with the artifact.")
    outcome: CheckOutcome = Field(description="How it ended; only `passed` passes a gate.")
    digest: Digest = Field(description="The artifact that was looked at: that of the version.")
    report_url: Annotated[str, Field(max_length=URL_CHARS_MAX, description="Where the report is.")] | None = None
    report_digest: Digest | None = Field(default=None, description="The digest of the report.")
    details: Annotated[str, Field(max_length=TEXT_CHARS_MAX, description="What people should know.")] | None = None


class CheckDocument(BaseModel):
    """A check of a version."""

    check_id: str
    kind: CheckKind
    outcome: CheckOutcome
    digest: str
    report_url: str | None
    report_digest: str | None
    details: str | None
    recorded_at: datetime
    recorded_by: str

    @classmethod
    def of(cls, check: Check) -> Self:
        """The document about `check`."""
        return cls(
            check_id=str(check.id),
            kind=check.kind,
            outcome=check.outcome,
            digest=check.digest,
            report_url=check.report_url,
            report_digest=check.report_digest,
            details=check.details,
            recorded_at=check.recorded_at,
            recorded_by=check.recorded_by,
        )


class CheckPage(Page[CheckDocument]):
    """Some checks of a version, newest first."""


@router.post(
    PATH,
    status_code=201,
    response_model=CheckDocument,
    responses=problems(404, 409, 412),
    summary="Record a check of a version",
    dependencies=[requires(Permission.VERSIONS_CHECK)],
)
async def post_check(
    project: Project, name: ModelName, reference: VersionText, body: NewCheck, call: Caller
) -> Response:
    """By the service that tested or scanned; whoever made the version is refused. The newest of a kind counts."""
    command = RecordCheck(project=project, model=name, reference=parse_reference(reference), **dict(body))

    async def work(tx: Transaction) -> Answer:
        return Answer(status=201, body=CheckDocument.of(await record_check(tx, command)))

    subject = Subject(project=project, path=f"registered-models/{name}/versions/{reference}")
    return await carry_out(call, body, work, action=AuditAction.MODEL_VERSION_CHECKED, subject=subject)


@router.get(
    PATH,
    responses=problems(404),
    summary="List a version's checks, newest first",
    dependencies=[requires(Permission.MODELS_READ)],
)
async def get_checks(
    project: Project,
    name: ModelName,
    reference: VersionText,
    call: Caller,
    paging: Paging,
) -> CheckPage:
    """All that services recorded; gates look at the newest of each kind."""
    after = paging.after(UUID)
    async with call.services.database.reading() as connection:
        version = await get_version(connection, project=project, model=name, reference=parse_reference(reference))
        found = await store.list_checks(connection, version_id=version.id, before=after, limit=paging.limit)
    return paging.page(CheckPage, found, of=CheckDocument.of, key=lambda each: each.id)
