"""One log line for each request that was answered: who asked for what, and how it ended."""

from collections.abc import Callable

import structlog
from starlette.types import Scope

Seconds = Callable[[], float]
"""A clock that only goes forward, such as `time.perf_counter`."""

PATH_CHARS_MAX = 200
FAILED_FROM = 400
"""Statuses from here on always get a line."""

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by machines every few seconds: their lines are for somebody who debugs them."""

log = structlog.get_logger()


class AccessLog:
    """Writes `request_answered`. `sample` is the share of answers below 400 that get a line; all others always do."""

    def __init__(self, *, enabled: bool, sample: float, seconds: Seconds) -> None:
        self.seconds = seconds
        self._enabled = enabled
        self._sample = sample
        # Half a line is due at the start: so that with a small share the first line comes half-way, not at the end.
        self._due = 0.5

    def note(self, scope: Scope, status: int | None, *, began_s: float) -> None:
        """Write the line of a request; `status` is None when it was given up before anything was answered."""
        if self._wants(status):
            principal = scope.get("state", {}).get("principal")
            self._write(
                scope["method"],
                scope["path"],
                status,
                began_s=began_s,
                actor=None if principal is None else principal.actor,
                template=getattr(scope.get("route"), "path", None),
            )

    def note_hot(self, method: str, path: str, status: int | None, *, began_s: float, actor: str | None) -> None:
        """Write the line of a request that never came to the framework."""
        if self._wants(status):
            self._write(method, path, status, began_s=began_s, actor=actor, template=path)

    def _wants(self, status: int | None) -> bool:
        return self._enabled and (status is None or status >= FAILED_FROM or self._is_due())

    def _write(
        self, method: str, path: str, status: int | None, *, began_s: float, actor: str | None, template: str | None
    ) -> None:
        say = log.debug if path in PROBES else log.info
        say(
            "request_answered",
            method=method,
            # With its parameters' names, as routes are declared; what was asked for when there is no such route.
            path=template or path[:PATH_CHARS_MAX],
            status=status or "aborted",
            seconds=round(self.seconds() - began_s, 6),
            actor=actor,
        )

    def _is_due(self) -> bool:
        self._due += self._sample
        if self._due < 1:
            return False
        self._due -= 1
        return True
