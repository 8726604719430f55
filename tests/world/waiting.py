"""Wait for a condition with a deadline: never for a length of time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 30.0
LOOK_INTERVAL_S = 0.05


async def until(
    look: Callable[[], Awaitable[T]],
    holds: Callable[[T], bool],
    *,
    timeout_s: float = DEADLINE_S,
    interval_s: float = LOOK_INTERVAL_S,
) -> T:
    """What `look` saw when `holds` was first true of it. Fails with what it saw last."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = await look()
        if holds(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:.0f} s; last seen: {str(seen)[:2_000]}")
        await asyncio.sleep(interval_s)
