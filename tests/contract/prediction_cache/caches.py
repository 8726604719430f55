"""The caches under one contract, and the time that passes in each."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from modelyard_prediction_cache import Cache, Entity, MemoryPredictionCache, PredictionCache
from redis.asyncio import Redis

LOAN = Entity(tenant="acme", entity_type="loan", entity_id="4711")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A cache and what a test may do to it. `pass_time` lets seconds go by for it; `flush` loses everything."""

    cache: Cache
    pass_time: Callable[[float], Awaitable[None]]
    flush: Callable[[], Awaitable[None]]


class Build(Protocol):
    """Builds a cache that is empty."""

    def __call__(self, *, hold_off_s: float = 60.0, lease_s: float = 60.0, fields_max: int = 100) -> Kept: ...


class ManualClock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s

    async def pass_time(self, seconds: float) -> None:
        self.now_s += seconds


def counted_nonces() -> Callable[[], str]:
    """Nonces that are never given twice in this process."""
    numbers = itertools.count()
    return lambda: f"nonce-{next(numbers)}"


def memory_cache(*, hold_off_s: float = 60.0, lease_s: float = 60.0, fields_max: int = 100) -> Kept:
    """The twin."""
    clock = ManualClock()
    cache = MemoryPredictionCache(
        new_nonce=counted_nonces(),
        clock_s=clock,
        hold_off_s=hold_off_s,
        lease_s=lease_s,
        fields_max=fields_max,
        value_bytes_max=1_000,
    )

    async def flush() -> None:
        cache.flush()

    return Kept(cache=cache, pass_time=clock.pass_time, flush=flush)


def redis_cache(redis: Redis, *, hold_off_s: float = 60.0, lease_s: float = 60.0, fields_max: int = 100) -> Kept:
    """The cache on a real server, where time passes by itself."""
    cache = PredictionCache(
        redis,
        new_nonce=counted_nonces(),
        timeout_s=30.0,
        hold_off_s=hold_off_s,
        lease_s=lease_s,
        fields_max=fields_max,
        value_bytes_max=1_000,
    )

    async def flush() -> None:
        await redis.flushdb()

    return Kept(cache=cache, pass_time=asyncio.sleep, flush=flush)
