"""Whoever is known and refused is on record: one audit entry at once, and one a minute for what follows it.

A caller who is refused again and again cannot fill the log: refusals of the same actor for want of the same
permission are counted, and the count is written when its minute is over.
"""

import asyncio
import re
from dataclasses import dataclass

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.clock import Clock
from modelyard_runtime.ids import NewId
from modelyard_runtime.problems import ForbiddenError, UnavailableError, problem_response
from modelyard_runtime.sums import Summed, Sums

from modelyard_registry.api import DEFAULT_PROJECT
from modelyard_registry.metrics import REFUSALS
from modelyard_registry.projects.store import project_on_record
from modelyard_registry.transactions import RequestContext, UnitOfWork
from modelyard_registry.transactions.audit_actions import RefusedAction, permission_refused

FLUSH_EVERY_S = 5.0
SUBJECT_CHARS_MAX = 300

_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TOKEN = re.compile(r"[!-~]{1,200}")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCall:
    """One refusal of a known caller."""

    actor: str
    action: RefusedAction
    project: str
    subject: str
    operation: str
    reason: str
    request_id: str


class Refusals:
    """Writes refusals into the audit log, each in a transaction of its own."""

    def __init__(self, unit_of_work: UnitOfWork, *, clock: Clock) -> None:
        self._unit_of_work = unit_of_work
        self._sums: Sums[RefusedCall] = Sums(clock=clock)

    async def note(self, refused: RefusedCall) -> None:
        """Record a refusal, or count it when one like it was recorded less than a minute ago."""
        await self._record_all(self._sums.note((refused.actor, refused.action), refused))

    async def flush(self) -> None:
        """Write the counts of the minutes that are over."""
        await self._record_all(self._sums.ended())

    async def run(self) -> None:
        """Flush until cancelled, and then the counts of minutes that are not over."""
        try:
            while True:
                await asyncio.sleep(FLUSH_EVERY_S)
                await self.flush()
        finally:
            await self._record_all(self._sums.everything())

    async def _record_all(self, sums: list[Summed[RefusedCall]]) -> None:
        for each in sums:
            await self._record(each.value, count=each.count)

    async def _record(self, refused: RefusedCall, *, count: int) -> None:
        context = RequestContext(
            actor=refused.actor,
            request_id=refused.request_id,
            correlation_id=refused.request_id,
            causation_id=None,
        )
        try:
            async with self._unit_of_work(context) as tx:
                await tx.record_audit(
                    project=await project_on_record(tx.connection, refused.project),
                    action=refused.action,
                    subject=refused.subject,
                    after={"problem": "forbidden", "operation": refused.operation, "count": count},
                    reason=refused.reason,
                )
        except UnavailableError as error:
            # The caller is refused all the same; what cannot be written is at least said.
            log.warning("refusal_not_recorded", actor=refused.actor, action=refused.action, error=str(error))


def refused_event(
    *, actor: str, permission: Permission, project: str, subject: str, operation: str, reason: str, event_id: str
) -> RefusedCall:
    """The refusal of an event whose sender is known; `operation` says what came by which topic."""
    return RefusedCall(
        actor=actor,
        action=permission_refused(permission),
        project=project if _PROJECT.fullmatch(project) else DEFAULT_PROJECT,
        subject=subject,
        operation=operation,
        reason=reason[:SUBJECT_CHARS_MAX],
        request_id=event_id if _TOKEN.fullmatch(event_id) else subject,
    )


def install_refusals(app: FastAPI, refusals: Refusals, *, new_id: NewId) -> None:
    """Make `app` record each 403 before it is answered."""

    @app.exception_handler(ForbiddenError)
    async def on_forbidden(request: Request, error: ForbiddenError) -> Response:
        REFUSALS.labels(error.code).inc()
        principal = getattr(request.state, "principal", None)
        if principal is not None:
            refused = _refused_call(request, error, actor=principal.actor, new_id=new_id)
            log.warning("call_refused", actor=refused.actor, operation=refused.operation, reason=refused.reason)
            await refusals.note(refused)
        return problem_response(error)


def _refused_call(request: Request, error: ForbiddenError, *, actor: str, new_id: NewId) -> RefusedCall:
    # An operation whose path names no project has found out which one it is about.
    found = getattr(request.state, "project", DEFAULT_PROJECT)
    project = str(request.path_params.get("project", found))
    request_id = request.headers.get("x-request-id", "")
    path = request.url.path.encode("ascii", "backslashreplace").decode()
    below = path.removeprefix(f"/api/v1/projects/{project}/").removeprefix("/api/v1/")
    return RefusedCall(
        actor=actor,
        action=permission_refused(error.extra.get("permission", "access:give")),
        project=project if _PROJECT.fullmatch(project) else DEFAULT_PROJECT,
        subject=below[:SUBJECT_CHARS_MAX] or "/",
        operation=f"{request.method} {path[:SUBJECT_CHARS_MAX]}",
        reason=error.detail[:SUBJECT_CHARS_MAX],
        request_id=request_id if _TOKEN.fullmatch(request_id) else new_id(),
    )
