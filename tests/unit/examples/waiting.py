"""Waiting for a condition, not for a time."""

import asyncio
from collections.abc import Callable

DEADLINE_S = 30
INTERVAL_S = 0.01


async def until(condition: Callable[[], bool]) -> None:
    """Return when `condition` is true; TimeoutError when it is not within the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if condition():
                return
            await asyncio.sleep(INTERVAL_S)
