"""What happens when an entity changed: purge first, then say so, then let the offset move on.

Every step may be repeated. A change that is delivered again is purged again, which harms nothing, and
announced again with the same `caused_by`, by which consumers know a repetition.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelyard_events.entities import EntityChanged
from modelyard_events.envelope import Envelope
from modelyard_events.invalidations import EntityPurged
from modelyard_events.topics import CACHE_INVALIDATIONS, ENTITY_CHANGES
from modelyard_prediction_cache import Cache, CacheUnavailableError, Entity, Purge
from modelyard_runtime.clock import Clock
from modelyard_runtime.consume import Batch, Delivery
from modelyard_runtime.errors import PermanentError, TransientError
from modelyard_runtime.publish import Publication, Publisher

from modelyard_cache_invalidator.metrics import PURGE_AGE_SECONDS, PURGE_SECONDS, PURGED_ENTRIES, PURGES

SOURCE = "/modelyard/cache-invalidator"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """Purges and announces. `version_sources` is as in the settings."""

    cache: Cache
    publisher: Publisher
    version_sources: Mapping[str, str]
    clock: Clock

    async def on_entity_changes(self, batch: Batch) -> None:
        """Purge the entities of one partition's waiting changes, in their order.

        Raises TransientError while the cache or the broker is away: a change is never skipped.
        """
        changes = [_change_in(delivery) for delivery in batch.deliveries]
        if not changes:
            return
        purges = [
            purge_for(change, source=envelope.source, version_sources=self.version_sources)
            for envelope, change in changes
        ]
        began_s = time.perf_counter()
        try:
            counts = await self.cache.purge_all(purges)
        except CacheUnavailableError as error:
            raise TransientError(str(error)) from error
        PURGE_SECONDS.observe(time.perf_counter() - began_s)
        self._measure(changes, counts)
        await self._announce(changes, counts)

    async def submit(self, change: EntityChanged, *, actor: str, request_id: str | None = None) -> Envelope:
        """Let a change that came by HTTP take the same way as all others. Raises PublishFailedError."""
        return await self.publisher.publish(
            ENTITY_CHANGES, change, key=key_of(change), actor=actor, correlation_id=request_id
        )

    def _measure(self, changes: Sequence[tuple[Envelope, EntityChanged]], counts: Sequence[int]) -> None:
        now = self.clock()
        PURGED_ENTRIES.inc(sum(counts))
        for envelope, change in changes:
            PURGES.labels(change.entity_type).inc()
            PURGE_AGE_SECONDS.observe(max(0.0, (now - envelope.occurred_at).total_seconds()))

    async def _announce(self, changes: Sequence[tuple[Envelope, EntityChanged]], counts: Sequence[int]) -> None:
        publications = [
            Publication(
                event=_purged(change, envelope, purged_entries=count),
                key=key_of(change),
                correlation_id=envelope.correlation_id,
                causation_id=envelope.id,
                traceparent=envelope.traceparent,
            )
            for (envelope, change), count in zip(changes, counts, strict=True)
        ]
        await self.publisher.publish_all(CACHE_INVALIDATIONS, publications)


def purge_for(change: EntityChanged, *, source: str, version_sources: Mapping[str, str]) -> Purge:
    """The purge that a change from `source` asks for.

    The empty source name is the counter that feature sources answer with; whoever is not named as its
    owner counts apart, so that a foreign counter is never compared with it.
    """
    owner = version_sources.get(change.entity_type, source)
    entity = Entity(tenant=change.tenant, entity_type=change.entity_type, entity_id=change.entity_id)
    return Purge(entity=entity, version=change.version, source="" if source == owner else source)


def key_of(change: EntityChanged) -> str:
    """The Kafka key of everything about this entity."""
    return f"{change.tenant}/{change.entity_type}/{change.entity_id}"


def _change_in(delivery: Delivery[Any]) -> tuple[Envelope, EntityChanged]:
    if not isinstance(delivery.event, EntityChanged):
        msg = f"{delivery.envelope.type} does not belong on {ENTITY_CHANGES.name}"
        raise PermanentError(msg, reason="wrong_topic")
    return delivery.envelope, delivery.event


def _purged(change: EntityChanged, envelope: Envelope, *, purged_entries: int) -> EntityPurged:
    return EntityPurged(
        tenant=change.tenant,
        entity_type=change.entity_type,
        entity_id=change.entity_id,
        version=change.version,
        purged_entries=purged_entries,
        caused_by=envelope.id,
        actor=envelope.actor if envelope.source == SOURCE else None,
    )
