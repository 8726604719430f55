"""Whether the cache answers: a service that cannot purge is not ready, even when nothing changes."""

import asyncio
from dataclasses import replace

from modelyard_prediction_cache import Cache, CacheUnavailableError
from modelyard_runtime.health import Checkable, HealthCheck

INTERVAL_S = 1.0


class PurgesGoOn:
    """The consumption of changes: where a partition does not move, stale predictions are served, so nothing is well."""

    def __init__(self, consumption: Checkable) -> None:
        self._consumption = consumption

    def check(self) -> HealthCheck:
        """Healthy while every partition moves."""
        said = self._consumption.check()
        return replace(said, ok=said.ok and not said.degraded)


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
