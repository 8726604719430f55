"""The cache's twin in memory: the same protocol, for tests and for a single process without Redis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from modelyard_prediction_cache.cache import (
    FIELDS_MAX,
    HOLD_OFF_S,
    LEASE_S,
    VALUE_BYTES_MAX,
    CachedFeatures,
    CacheUnavailableError,
    Entity,
    Lease,
    Purge,
    Reading,
    refuse_invalid_fill,
    refuse_reserved,
)


@dataclass(slots=True)
class _Barrier:
    until_s: float = 0.0
    provable_by: str | None = None
    floors: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Entry:
    nonce: str | None = None
    barrier: _Barrier | None = None
    values: dict[str, bytes | CachedFeatures] = field(default_factory=dict)
    expires_at_s: float | None = None


class MemoryPredictionCache:
    """The cache in memory. `clock_s` answers seconds that only rise; set `is_down` to make it unavailable."""

    def __init__(
        self,
        *,
        new_nonce: Callable[[], str],
        clock_s: Callable[[], float],
        hold_off_s: float = HOLD_OFF_S,
        lease_s: float = LEASE_S,
        fields_max: int = FIELDS_MAX,
        value_bytes_max: int = VALUE_BYTES_MAX,
    ) -> None:
        self.is_down = False
        self._new_nonce = new_nonce
        self._clock_s = clock_s
        self._hold_off_s = hold_off_s
        self._lease_s = lease_s
        self._fields_max = fields_max
        self._value_bytes_max = value_bytes_max
        self._entries: dict[tuple[str, str, str], _Entry] = {}

    def flush(self) -> None:
        """Lose everything, as a cache may at any time."""
        self._entries.clear()

    async def read(self, entity: Entity, *, prediction: str, features: str | None = None) -> Reading:
        """See `Cache.read`."""
        refuse_reserved(prediction)
        if features is not None:
            refuse_reserved(features)
        entry = self._entry(entity)
        value = entry.values.get(prediction)
        cached = entry.values.get(features) if features is not None else None
        return Reading(
            prediction=value if isinstance(value, bytes) else None,
            features=cached if isinstance(cached, CachedFeatures) else None,
            lease=None if isinstance(value, bytes) else self._lease(entity, entry),
        )

    async def fill(
        self,
        entity: Entity,
        lease: Lease,
        *,
        prediction: str,
        value: bytes,
        entity_version: int | None = None,
        source: str = "",
        features: tuple[str, bytes] | None = None,
        reads_entity: bool = True,
    ) -> bool:
        """See `Cache.fill`."""
        refuse_invalid_fill(prediction=prediction, features=features, reads_entity=reads_entity)
        if len(value) > self._value_bytes_max or (features and len(features[1]) > self._value_bytes_max):
            return False
        entry = self._entry(entity)
        if entry.nonce != lease.nonce:
            return False
        if reads_entity and not _is_proven(entry.barrier, lease, version=entity_version, source=source):
            return False
        if features is not None:
            self._put(entry, features[0], CachedFeatures(version=entity_version, value=features[1]))
        self._put(entry, prediction, value)
        entry.expires_at_s = None
        return True

    async def purge(self, entity: Entity, *, version: int | None = None, source: str = "") -> int:
        """See `Cache.purge`."""
        entry = self._entry(entity)
        barrier = entry.barrier or _Barrier()
        is_in_hold_off = self._clock_s() < barrier.until_s
        if version is None or (is_in_hold_off and barrier.provable_by != source):
            barrier.provable_by = None
        else:
            barrier.provable_by = source
        if version is not None:
            barrier.floors[source] = max(version, barrier.floors.get(source, version))
        barrier.until_s = self._clock_s() + self._hold_off_s
        self._entries[entity.key] = _Entry(barrier=barrier, expires_at_s=barrier.until_s)
        return len(entry.values)

    async def purge_all(self, purges: Sequence[Purge]) -> list[int]:
        """See `Cache.purge_all`."""
        return [await self.purge(purge.entity, version=purge.version, source=purge.source) for purge in purges]

    async def ping(self) -> None:
        """See `Cache.ping`."""
        if self.is_down:
            raise CacheUnavailableError("the cache is down")

    def _entry(self, entity: Entity) -> _Entry:
        if self.is_down:
            raise CacheUnavailableError("the cache is down")
        entry = self._entries.get(entity.key)
        if entry is None or (entry.expires_at_s is not None and self._clock_s() >= entry.expires_at_s):
            self._entries.pop(entity.key, None)
            return _Entry()
        return entry

    def _lease(self, entity: Entity, entry: _Entry) -> Lease:
        if entry.nonce is None:
            entry.nonce = self._new_nonce()
            if entry.barrier is None:
                entry.expires_at_s = self._clock_s() + self._lease_s
            self._entries[entity.key] = entry
        in_hold_off = entry.barrier is not None and self._clock_s() < entry.barrier.until_s
        return Lease(nonce=entry.nonce, in_hold_off=in_hold_off)

    def _put(self, entry: _Entry, name: str, value: bytes | CachedFeatures) -> None:
        if name not in entry.values and len(entry.values) >= self._fields_max:
            del entry.values[next(iter(entry.values))]
        entry.values[name] = value


def _is_proven(barrier: _Barrier | None, lease: Lease, *, version: int | None, source: str) -> bool:
    if version is None:
        return not lease.in_hold_off and (barrier is None or not barrier.floors)
    if barrier is None:
        return True
    floor = barrier.floors.get(source)
    if floor is not None and version < floor:
        return False
    return not lease.in_hold_off or barrier.provable_by == source
