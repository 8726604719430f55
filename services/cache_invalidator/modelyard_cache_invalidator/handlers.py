"""What happens when an entity changed: purge first, then say so, then let the offset move on.

Every step may be repeated. A change that is delivered again is purged again, which harms nothing, and
announced again with the same `caused_by`, by which consumers know a repetition.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelyard_events.entities import EntityChanged
from modelyard_events.envelope import Envelope
from modelyard_events.identifiers import normalised_id
from modelyard_events.invalidations import EntityPurged
from modelyard_events.topics import CACHE_INVALIDATIONS, ENTITY_CHANGES
from modelyard_prediction_cache import Cache, CacheUnavailableError, Entity, Purge
from modelyard_runtime.clock import Clock
from modelyard_runtime.consume import Batch, Delivery
from modelyard_runtime.errors import PermanentError, TransientError
from modelyard_runtime.ids import NewId
from modelyard_runtime.publish import Publication, Publisher

from modelyard_cache_invalidator.metrics import PURGE_AGE_SECONDS, PURGE_SECONDS, PURGED_ENTRIES, PURGES

SOURCE = "/modelyard/cache-invalidator"

Change = tuple[Envelope, EntityChanged]
"""A change with its envelope, whose `actor` is whoever has proved to have said it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """Purges and announces. `version_sources` is as in the settings."""

    cache: Cache
    publisher: Publisher
    version_sources: Mapping[str, str]
    clock: Clock
    new_id: NewId

    async def on_entity_changes(self, batch: Batch) -> None:
        """Purge the entities of one partition's waiting changes, in their order.

        Raises TransientError while the cache or the broker is away: a change is never skipped.
        """
        changes = [_change_in(delivery) for delivery in batch.deliveries]
        if changes:
            await self._purge(changes, by_hand_of=None)

    async def submit(self, change: EntityChanged, *, actor: str, request_id: str | None = None) -> Envelope:
        """Purge at once what a caller said by HTTP, who has proved who it is; answers the change's envelope.

        It does not go to the topic first: there it would need a signature, and only the caller could give one.
        Raises TransientError while the cache or the broker is away.
        """
        envelope = Envelope(
            id=self.new_id(),
            source=SOURCE,
            type=change.type,
            subject=key_of(change),
            occurred_at=self.clock(),
            correlation_id=request_id,
            actor=actor,
        )
        await self._purge([(envelope, change)], by_hand_of=actor)
        return envelope

    async def _purge(self, changes: Sequence[Change], *, by_hand_of: str | None) -> None:
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
        await self._announce(changes, counts, by_hand_of=by_hand_of)

    def _measure(self, changes: Sequence[Change], counts: Sequence[int]) -> None:
        now = self.clock()
        PURGED_ENTRIES.inc(sum(counts))
        PURGES.inc(len(changes))
        for envelope, _ in changes:
            PURGE_AGE_SECONDS.observe(max(0.0, (now - envelope.occurred_at).total_seconds()))

    async def _announce(self, changes: Sequence[Change], counts: Sequence[int], *, by_hand_of: str | None) -> None:
        publications = [
            Publication(
                event=_purged(change, envelope, purged_entries=count, by_hand_of=by_hand_of),
                key=key_of(change),
                correlation_id=envelope.correlation_id,
                causation_id=envelope.id,
                actor=envelope.actor,
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
    return f"{change.tenant}/{change.entity_type}/{normalised_id(change.entity_id)}"


def _change_in(delivery: Delivery[Any]) -> Change:
    if not isinstance(delivery.event, EntityChanged):
        msg = f"{delivery.envelope.type} does not belong on {ENTITY_CHANGES.name}"
        raise PermanentError(msg, reason="wrong_topic")
    # Who it was is what the signature proves; what the event says of itself is worth nothing.
    actor = delivery.sender.actor if delivery.sender is not None else None
    return replace(delivery.envelope, actor=actor), delivery.event


def _purged(change: EntityChanged, envelope: Envelope, *, purged_entries: int, by_hand_of: str | None) -> EntityPurged:
    return EntityPurged(
        tenant=change.tenant,
        entity_type=change.entity_type,
        entity_id=change.entity_id,
        version=change.version,
        purged_entries=purged_entries,
        caused_by=envelope.id,
        actor=by_hand_of,
    )
