"""Calls that prove nobody: counted by reason, and logged in summed form without anything of their tokens."""

import asyncio

import structlog

from modelyard_runtime.clock import Clock
from modelyard_runtime.metrics import UNAUTHENTICATED
from modelyard_runtime.problems import UnauthenticatedError
from modelyard_runtime.sums import Summed, Sums

FLUSH_EVERY_S = 5.0

log = structlog.get_logger()


class UnknownCallers:
    """Counts and logs them; a flood is one line a minute for each reason."""

    def __init__(self, *, clock: Clock) -> None:
        self._sums: Sums[str] = Sums(clock=clock)

    def note(self, error: UnauthenticatedError) -> None:
        """Count a refusal. Never waits."""
        UNAUTHENTICATED.labels(error.reason).inc()
        _say(self._sums.note(error.reason, error.reason))

    async def run(self) -> None:
        """Log the sums of the minutes that are over, until cancelled; then all others."""
        try:
            while True:
                await asyncio.sleep(FLUSH_EVERY_S)
                _say(self._sums.ended())
        finally:
            _say(self._sums.everything())


def _say(sums: list[Summed[str]]) -> None:
    for each in sums:
        log.warning("caller_not_known", reason=each.value, count=each.count)
