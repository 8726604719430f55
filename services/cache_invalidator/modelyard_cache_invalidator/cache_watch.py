"""Whether the cache answers: a service that cannot purge is not ready, even when nothing changes."""

import asyncio

from modelyard_prediction_cache import Cache, CacheUnavailableError
from modelyard_runtime.health import HealthCheck

INTERVAL_S = 1.0


class CacheWatch:
    """Asks the cache once in a while and remembers what it said."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._trouble: str | None = "not asked yet"

    def check(self) -> HealthCheck:
        """Healthy while the cache answers."""
        return HealthCheck(name="cache", ok=self._trouble is None, detail=self._trouble or "")

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            try:
                await self._cache.ping()
                self._trouble = None
            except CacheUnavailableError as error:
                self._trouble = str(error)
            await asyncio.sleep(INTERVAL_S)
