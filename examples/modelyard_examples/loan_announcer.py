"""How the loan book tells the world that a loan changed: each change once stored, in order per loan.

A change is announced at once by whoever made it. When the broker does not take it, the note stays in the
store, and `run` announces it as soon as the broker is back, also after a restart.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiokafka.errors import KafkaError

from modelyard_examples.cloud_events import CloudEvent
from modelyard_examples.loan_store import LoanChange, LoanStore

SOURCE = "urn:lending:loan-book"
ENTITY_TYPE = "loan"
RETRY_INTERVAL_S = 0.5

logger = logging.getLogger(__name__)

Announce = Callable[[CloudEvent], Awaitable[None]]
"""Publishes an event and returns when the broker has it. Raises KafkaError or TimeoutError."""


class LoanAnnouncer:
    """Announces what the store says is unannounced."""

    def __init__(self, store: LoanStore, *, announce: Announce, announce_timeout_s: float = 10.0) -> None:
        self._store = store
        self._announce = announce
        self._announce_timeout_s = announce_timeout_s
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    async def announce_loan(self, loan_id: str) -> None:
        """Announce every unannounced change of a loan, oldest first.

        Raises KafkaError or TimeoutError; what was not acknowledged stays unannounced.
        """
        async with asyncio.timeout(self._announce_timeout_s), self._turn_of(loan_id):
            for change in self._store.list_unannounced(loan_id=loan_id):
                await self._announce(entity_changed(change))
                self._store.mark_announced(change)

    async def run(self) -> None:
        """Announce what was left behind, until cancelled."""
        while True:
            for loan_id in dict.fromkeys(change.loan_id for change in self._store.list_unannounced()):
                try:
                    await self.announce_loan(loan_id)
                except (KafkaError, TimeoutError) as error:
                    logger.warning("loan_not_announced loan=%s reason=%s", loan_id, type(error).__name__)
                    break  # The broker is not there: the others would fail the same way.
            await asyncio.sleep(RETRY_INTERVAL_S)

    @asynccontextmanager
    async def _turn_of(self, loan_id: str) -> AsyncIterator[None]:
        """One at a time per loan; a lock exists only while someone holds it or waits for it."""
        lock, users = self._locks.get(loan_id, (asyncio.Lock(), 0))
        self._locks[loan_id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(loan_id)
            if users > 1:
                self._locks[loan_id] = (lock, users - 1)


def entity_changed(change: LoanChange) -> CloudEvent:
    """The event about a change; its subject, and so its key, is tenant/entity type/entity."""
    return CloudEvent(
        id=change.event_id,
        source=SOURCE,
        type="entity.changed.v1",
        subject=f"{change.state}/{ENTITY_TYPE}/{change.loan_id}",
        time=change.changed_at,
        data={
            "tenant": change.state,
            "entity_type": ENTITY_TYPE,
            "entity_id": change.loan_id,
            "version": change.version,
            "changed_fields": list(change.changed_fields),
        },
    )
