"""What happens when an entity changed: purge first, then say so, then let the offset move on.

Every step may be repeated. A change that is delivered again is purged again, which harms nothing, and
announced again with the same `caused_by`, by which consumers know a repetition.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class ProvedChange(NamedTuple):
    """A change with its envelope. `actor` is who proved to have sent it, None when nobody did."""

    envelope: Envelope
    event: EntityChanged
    actor: str | None


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
        await self._purge([ProvedChange(envelope, change, actor)], by_hand_of=actor)
        return envelope

    async def _purge(self, changes: Sequence[ProvedChange], *, by_hand_of: str | None) -> None:
        purges = [
            purge_for(each.event, source=each.envelope.source, version_sources=self.version_sources) for each in changes
        ]
        began_s = time.perf_counter()
        try:
            counts = await self.cache.purge_all(purges)
        except CacheUnavailableError as error:
            raise TransientError(str(error)) from error
        PURGE_SECONDS.observe(time.perf_counter() - began_s)
        self._measure(changes, counts)
        await self._announce(changes, counts, by_hand_of=by_hand_of)

    def _measure(self, changes: Sequence[ProvedChange], counts: Sequence[int]) -> None:
        now = self.clock()
        PURGED_ENTRIES.inc(sum(counts))
        PURGES.inc(len(changes))
        for each in changes:
            PURGE_AGE_SECONDS.observe(max(0.0, (now - each.envelope.occurred_at).total_seconds()))

    async def _announce(
        self, changes: Sequence[ProvedChange], counts: Sequence[int], *, by_hand_of: str | None
    ) -> None:
        publications = [
            Publication(
                event=_purged(each.event, each.envelope, purged_entries=count, by_hand_of=by_hand_of),
                key=key_of(each.event),
                correlation_id=each.envelope.correlation_id,
                causation_id=each.envelope.id,
                actor=each.actor,
                traceparent=each.envelope.traceparent,
            )
            for each, count in zip(changes, counts, strict=True)
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


def _change_in(delivery: Delivery[Any]) -> ProvedChange:
    if not isinstance(delivery.event, EntityChanged):
        msg = f"{delivery.envelope.type} does not belong on {ENTITY_CHANGES.name}"
        raise PermanentError(msg, reason="wrong_topic")
    # The signature proves who sent it; the actor that the event names itself proves nothing.
    actor = None if delivery.sender is None else delivery.sender.actor
    return ProvedChange(delivery.envelope, delivery.event, actor)


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
