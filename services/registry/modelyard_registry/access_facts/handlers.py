"""Facts of other services into the audit log: offset, dedupe keys and entries in one transaction."""

from collections.abc import Mapping

import structlog
from modelyard_events.invalidations import EntityPurged
from modelyard_events.refusals import AccessRefused
from modelyard_runtime.consume import Batch

from modelyard_registry.access_facts.domain import Entry, count_missing, entry_of_purge, entry_of_refusal
from modelyard_registry.http import DEFAULT_PROJECT
from modelyard_registry.metrics import FACTS_MISSING
from modelyard_registry.offsets import advance_offset, consumer_errors
from modelyard_registry.projects.store import project_on_record
from modelyard_registry.scoreboard import store
from modelyard_registry.transactions import RequestContext, Transaction, UnitOfWork

log = structlog.get_logger()


class AccessFacts:
    """Applies batches of `access-refusals.v1` and `cache-invalidations.v1`, each fact once."""

    def __init__(self, unit_of_work: UnitOfWork, *, group: str) -> None:
        self._unit_of_work = unit_of_work
        self._group = group

    async def on_refusals(self, batch: Batch) -> None:
        """Put refusals of known callers on record, and say how many facts about them are missing."""
        entries = {
            f"{each.envelope.source}#{each.envelope.id}": entry_of_refusal(each.envelope, each.event)
            for each in batch.deliveries
            if isinstance(each.event, AccessRefused)
        }
        with consumer_errors():
            async with self._unit_of_work(_context(batch)) as tx:
                await advance_offset(tx.connection, batch, group=self._group)
                missing = await self._missing(tx, batch)
                await self._record_new(tx, entries)
        if missing:
            FACTS_MISSING.labels(batch.topic).inc(missing)
            log.warning("facts_missing", topic=batch.topic, count=missing)

    async def on_purges(self, batch: Batch) -> None:
        """Put purges by hand on record. One that is announced again is known by the change that caused it."""
        entries: dict[str, Entry] = {}
        for each in batch.deliveries:
            if isinstance(each.event, EntityPurged):
                entry = entry_of_purge(each.envelope, each.event, project=DEFAULT_PROJECT)
                if entry is not None:
                    entries.setdefault(each.event.caused_by, entry)
        with consumer_errors():
            async with self._unit_of_work(_context(batch)) as tx:
                await advance_offset(tx.connection, batch, group=self._group)
                await self._record_new(tx, entries)

    async def _record_new(self, tx: Transaction, entries: Mapping[str, Entry]) -> None:
        if not entries:
            return
        new = await store.add_to_inbox(tx.connection, list(entries), group=self._group, now=tx.now)
        for entry in (entry for key, entry in entries.items() if key in new):
            context = RequestContext(
                actor=entry.actor,
                request_id=entry.request_id,
                correlation_id=entry.correlation_id,
                causation_id=entry.causation_id,
            )
            await tx.on_behalf_of(context).record_audit(
                project=await project_on_record(tx.connection, entry.project),
                action=entry.action,
                subject=entry.subject,
                after=entry.after,
                reason=entry.reason,
            )

    async def _missing(self, tx: Transaction, batch: Batch) -> int:
        envelopes = [each.envelope for each in batch.deliveries]
        sources = {each.source for each in envelopes}
        known = await store.last_sequences(tx.connection, sources, topic=batch.topic, partition=batch.partition)
        missing, newest = count_missing(envelopes, last_sequences=known)
        await store.keep_sequences(tx.connection, newest, topic=batch.topic, partition=batch.partition, now=tx.now)
        return missing


def _context(batch: Batch) -> RequestContext:
    return RequestContext(
        actor="registry",
        request_id=f"{batch.topic}/{batch.partition}/{batch.first_offset}",
        correlation_id=None,
        causation_id=None,
    )
