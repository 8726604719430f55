"""Facts of other services into the audit log: offset, dedupe keys and entries in one transaction."""

from collections.abc import Mapping

import structlog
from modelyard_events.invalidations import EntityPurged
from modelyard_events.refusals import AccessRefused
from modelyard_runtime.consume import Batch

from modelyard_registry.api import DEFAULT_PROJECT
from modelyard_registry.audit.service_reports.domain import Entry, entry_of_purge, entry_of_refusal
from modelyard_registry.inbox.applied_once import applied_once
from modelyard_registry.inbox.dedupe import add_to_inbox
from modelyard_registry.inbox.new_facts import count_gaps
from modelyard_registry.metrics import FACTS_MISSING
from modelyard_registry.projects.store import project_on_record
from modelyard_registry.transactions import RequestContext, Transaction, UnitOfWork

log = structlog.get_logger()


class ServiceReports:
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
        async with applied_once(self._unit_of_work, batch, group=self._group) as tx:
            missing = await count_gaps(tx, batch)
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
        async with applied_once(self._unit_of_work, batch, group=self._group) as tx:
            await self._record_new(tx, entries)

    async def _record_new(self, tx: Transaction, entries: Mapping[str, Entry]) -> None:
        if not entries:
            return
        new = await add_to_inbox(tx.connection, list(entries), group=self._group, now=tx.now)
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
