"""The relay: publishes what the outbox holds, in order, at least once, by one leader at a time.

Rows are read by id among those that are still there, so none can be missed; they are deleted after the broker
has acknowledged them, so none can be lost. Rows of one key were committed in the order of their ids, because
a key's lock is taken before its row is written: reading by id and sending by partition keeps that order.
Audit entries get their index in a commit of its own before they are sent: a crash sends the same index again.
"""

import asyncio

import structlog
from modelyard_runtime.clock import Clock
from modelyard_runtime.health import HealthCheck
from modelyard_runtime.ids import NewId

from modelyard_registry.outbox import metrics
from modelyard_registry.outbox.leadership import DATABASE_ERRORS, LeadershipLostError, open_session
from modelyard_registry.outbox.ordered_producer import SEND_ERRORS
from modelyard_registry.outbox.term import RelaySettings, Term

__all__ = ["Relay", "RelaySettings"]

log = structlog.get_logger()

SOON_S = 0.010
STANDBY_S = 0.250
BACKOFF_S = 0.5
GAUGES_S = 1.0


class Relay:
    """Runs beside the service: leads when it can, stands by otherwise."""

    def __init__(self, settings: RelaySettings, *, clock: Clock, new_id: NewId) -> None:
        self._settings = settings
        self._clock = clock
        self._new_id = new_id
        self._woken = asyncio.Event()
        self._is_called = False
        self._last_called_at = 0.0
        self._role = "starting"
        self._trouble = ""
        self._term: Term | None = None

    def wake(self) -> None:
        """Publish now instead of at the next poll: this process has committed outbox rows."""
        self._woken.set()

    def wake_soon(self) -> None:
        """Publish soon: this process has committed outbox rows that routing does not depend on.

        A call is followed at once if the last one was more than `SOON_S` ago; calls in quick succession are followed
        once per `SOON_S`, so that many rows are published together.
        """
        if self._is_called:
            return
        loop = asyncio.get_running_loop()
        self._is_called = True
        loop.call_at(max(self._last_called_at + SOON_S, loop.time()), self._wake_now)

    def _wake_now(self) -> None:
        self._is_called = False
        self._last_called_at = asyncio.get_running_loop().time()
        self._woken.set()

    def check(self) -> HealthCheck:
        """Healthy as a leader or a standby. A broker that is away is told, but writes go on without it."""
        is_ok = self._role in ("leader", "standby")
        detail = f"{self._role}; {self._trouble}" if self._trouble else self._role
        if alarm := self._term.alarm() if self._term is not None else "":
            detail += f"; {alarm}"
        return HealthCheck(name="relay", ok=is_ok, detail=detail, degraded=bool(alarm))

    async def run(self) -> None:
        """Lead or stand by until cancelled; whatever breaks is tried again."""
        while True:
            try:
                await self._take_part()
            except* (LeadershipLostError, *DATABASE_ERRORS) as errors:
                self._role, self._trouble = "no session with the database", _first_of(errors)
                log.warning("relay_stepped_down", error=self._trouble)
            self._term = None
            metrics.RELAY_LEADER.set(0)
            await asyncio.sleep(BACKOFF_S)

    async def _take_part(self) -> None:
        async with open_session(self._settings.postgres_dsn) as session:
            while not await session.try_to_lead():
                self._role, self._trouble = "standby", ""
                await asyncio.sleep(STANDBY_S)
            term = Term(self._settings, session, clock=self._clock, new_id=self._new_id, woken=self._woken)
            self._term = term
            self._role, self._trouble = "leader", ""
            metrics.RELAY_LEADER.set(1)
            log.info("relay_leads")
            async with asyncio.TaskGroup() as group:
                group.create_task(session.keep_alive())
                group.create_task(self._serve(term))
                group.create_task(self._watch(term))

    async def _serve(self, term: Term) -> None:
        """Publish for as long as this process leads; a broken producer is replaced, not the leader."""
        while True:
            try:
                await term.publish()
            except* SEND_ERRORS as errors:
                self._trouble = f"not everything was acknowledged: {_first_of(errors)}"
                log.warning("relay_send_failed", error=_first_of(errors))
            await asyncio.sleep(BACKOFF_S)

    async def _watch(self, term: Term) -> None:
        while True:
            rows, oldest = await term.table.backlog()
            await term.refused.measure()
            lag_s = (self._clock() - oldest).total_seconds() if oldest is not None else 0.0
            metrics.RELAY_OUTBOX_ROWS.set(rows)
            metrics.RELAY_LAG_SECONDS.set(max(lag_s, 0.0))
            if rows == 0:
                self._trouble = ""
            elif self._trouble or lag_s > 1.0:
                self._trouble = f"{rows} rows wait, the oldest for {lag_s:.1f} s"
            await asyncio.sleep(GAUGES_S)


def _first_of(errors: BaseExceptionGroup[BaseException]) -> str:
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return repr(first)
