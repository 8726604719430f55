"""The prediction cache behind a circuit breaker. When the cache fails, predictions go on without it."""

from dataclasses import dataclass

import structlog
from modelyard_prediction_cache import VALUE_BYTES_MAX, Cache, CacheUnavailableError, Entity, Lease, Reading
from modelyard_runtime.state.tail import Seconds

from modelyard_router.domain.breaker import Breakers
from modelyard_router.metrics import CACHE_FAILURES, CACHE_FILLS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What a fill stores: the prediction and, when they were fetched for it, the features."""

    prediction: str
    value: bytes
    entity_version: int | None
    source: str
    features: tuple[str, bytes] | None
    reads_entity: bool


class AnswerCache:
    """Reads and fills the cache. While the breaker is open, requests do not wait for the cache's timeout."""

    _KEY = "cache"

    def __init__(self, cache: Cache, *, breakers: Breakers, seconds: Seconds) -> None:
        self._cache = cache
        self._breakers = breakers
        self._seconds = seconds

    async def read(self, entity: Entity, *, prediction: str, features: str | None) -> Reading | None:
        """Return what the cache has, or None when it does not answer."""
        if not self._breakers.permits(self._KEY, now_s=self._seconds()):
            return None
        try:
            reading = await self._cache.read(entity, prediction=prediction, features=features)
        except CacheUnavailableError as error:
            self._failed("read", error)
            return None
        self._breakers.succeeded(self._KEY)
        return reading

    async def fill(self, entity: Entity, lease: Lease, fill: Fill) -> None:
        """Store a prediction, unless it might be stale or is too large."""
        if max(len(fill.value), len(fill.features[1]) if fill.features else 0) > VALUE_BYTES_MAX:
            CACHE_FILLS.labels("too_large").inc()
            return
        try:
            stored = await self._cache.fill(
                entity,
                lease,
                prediction=fill.prediction,
                value=fill.value,
                entity_version=fill.entity_version,
                source=fill.source,
                features=fill.features,
                reads_entity=fill.reads_entity,
            )
        except CacheUnavailableError as error:
            self._failed("fill", error)
            return
        CACHE_FILLS.labels("stored" if stored else "refused").inc()

    def _failed(self, operation: str, error: CacheUnavailableError) -> None:
        self._breakers.failed(self._KEY, now_s=self._seconds())
        CACHE_FAILURES.labels(operation).inc()
        log.warning("cache_unavailable", operation=operation, error=str(error))
