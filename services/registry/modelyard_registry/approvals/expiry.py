"""Ends transition requests whose time is over, so that everyone who follows the facts learns of it."""

import asyncio
from contextlib import suppress

from modelyard_runtime.clock import Clock

from modelyard_registry.approvals import store
from modelyard_registry.approvals.domain import RequestState, TransitionRequest, decide_expiry
from modelyard_registry.approvals.endings import end_request
from modelyard_registry.models.locks import lock_model_by_id
from modelyard_registry.transactions import RequestContext, UnitOfWork
from modelyard_registry.transactions.database import Database, DatabaseUnavailableError

ACTOR = "registry"
INTERVAL_S = 30.0
ROUND_REQUESTS_MAX = 100


class Expiry:
    """Runs beside the service. Nothing waits for it: an open request past its time is refused at once anyway."""

    def __init__(self, database: Database, *, unit_of_work: UnitOfWork, clock: Clock) -> None:
        self._database = database
        self._unit_of_work = unit_of_work
        self._clock = clock

    async def run(self) -> None:
        """End what is due every half minute until cancelled."""
        while True:
            with suppress(DatabaseUnavailableError):  # The next round is as good.
                await self.expire_due()
            await asyncio.sleep(INTERVAL_S)

    async def expire_due(self) -> int:
        """End at most `ROUND_REQUESTS_MAX` requests, each in a transaction of its own; returns how many."""
        async with self._database.reading() as connection:
            due = await store.list_due(connection, now=self._clock(), limit=ROUND_REQUESTS_MAX)
        return sum([await self._expire(request) for request in due])

    async def _expire(self, due: TransitionRequest) -> bool:
        context = RequestContext(
            actor=ACTOR, request_id=f"expiry-{due.id}", correlation_id=str(due.id), causation_id=None
        )
        async with self._unit_of_work(context) as tx:
            await lock_model_by_id(tx.connection, due.registered_model_id)
            request = await store.get_request(tx.connection, project=due.project, request_id=due.id)
            if not decide_expiry(request, now=tx.now):
                return False  # Somebody ended it while we waited for the lock.
            await end_request(tx, request, RequestState.EXPIRED, comment=None)
        return True
