"""Whoever is known and refused here is put on record by the registry: each refusal leaves as a fact.

The caller never waits for it, and a flood is one fact a minute for each actor and permission, whatever
projects it names. Numbers are given to facts before any can be dropped, so that a gap tells how many are missing.
"""

import asyncio
import re

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from modelyard_events.limits import ACTOR_CHARS_MAX
from modelyard_events.refusals import AccessRefused
from modelyard_events.topics import ACCESS_REFUSALS

from modelyard_runtime.access.permissions import ALL_PROJECTS
from modelyard_runtime.clock import Clock
from modelyard_runtime.ids import NewId
from modelyard_runtime.metrics import REFUSED
from modelyard_runtime.problems import ForbiddenError, problem_response
from modelyard_runtime.publish.fact_queue import FactQueue
from modelyard_runtime.sums import Summed, Sums

DEFAULT_PROJECT = "default"
FLUSH_EVERY_S = 5.0
LINE_CHARS_MAX = 300

_REQUEST_ID = re.compile(r"[!-~]{1,200}").fullmatch
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

log = structlog.get_logger()


class RefusalFacts:
    """Turns refusals of one service into facts. `queue` is where they leave by, once it is open."""

    def __init__(self, service: str, *, clock: Clock, new_id: NewId) -> None:
        self._service = service
        self._new_id = new_id
        self._sums: Sums[AccessRefused] = Sums(clock=clock)
        self.queue: FactQueue | None = None

    def note(
        self,
        error: ForbiddenError,
        *,
        actor: str,
        method: str,
        path: str,
        request_id: str | None,
        home_project: str | None = None,
    ) -> None:
        """Say that a caller was refused, or count it when that was said less than a minute ago. Never waits.

        A refusal that names no project is about `home_project`, the caller's own, else about `default`.
        """
        project = str(error.extra.get("project", home_project or DEFAULT_PROJECT))
        refused = AccessRefused(
            service=self._service,
            actor=_line(actor, chars_max=ACTOR_CHARS_MAX),
            permission=str(error.extra.get("permission", "access:give")),
            project=DEFAULT_PROJECT if project == ALL_PROJECTS else project,
            operation=_line(f"{method} {path}"),
            reason=_line(error.detail),
            request_id=request_id if request_id and _REQUEST_ID(request_id) else self._new_id(),
        )
        REFUSED.labels(refused.permission).inc()
        # Not by project: that is the caller's word, and made-up ones must not become a flood of facts.
        self._offer(self._sums.note((refused.actor, refused.permission), refused))

    async def run(self) -> None:
        """Say the sums of the minutes that are over, until cancelled; then all others."""
        try:
            while True:
                await asyncio.sleep(FLUSH_EVERY_S)
                self._offer(self._sums.ended())
        finally:
            self._offer(self._sums.everything())

    def _offer(self, sums: list[Summed[AccessRefused]]) -> None:
        for each in sums:
            fact = each.value.model_copy(update={"count": each.count})
            log.warning("call_refused", actor=fact.actor, operation=fact.operation, count=fact.count)
            if self.queue is not None:
                self.queue.offer(ACCESS_REFUSALS, fact, key=fact.project)


def install_refusals(app: FastAPI, refusals: RefusalFacts) -> None:
    """Make `app` say each 403 of a known caller before it is answered."""

    @app.exception_handler(ForbiddenError)
    async def on_forbidden(request: Request, error: ForbiddenError) -> Response:
        principal = getattr(request.state, "principal", None)
        if principal is not None:
            refusals.note(
                error,
                actor=principal.actor,
                method=request.method,
                path=request.url.path,
                request_id=request.headers.get("x-request-id"),
                home_project=principal.home_project,
            )
        return problem_response(error)


def _line(text: str, *, chars_max: int = LINE_CHARS_MAX) -> str:
    return _CONTROL.sub(" ", text)[:chars_max]
