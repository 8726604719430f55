"""Waiting for something that happens elsewhere: asked again and again, up to a deadline, never slept."""

import asyncio
from collections.abc import Awaitable, Callable

DEADLINE_S = 60.0


class NeverHappenedError(Exception):
    """What the demo waited for did not happen within the deadline."""


async def until(
    what: str,
    is_true: Callable[[], Awaitable[bool]],
    *,
    deadline_s: float = DEADLINE_S,
    interval_s: float = 0.02,
) -> None:
    """Return when `is_true` answers True. Raises NeverHappenedError, with `what`, after `deadline_s` seconds."""
    try:
        async with asyncio.timeout(deadline_s):
            while not await is_true():  # noqa: ASYNC110  # It happens in another process; no event can tell.
                await asyncio.sleep(interval_s)
    except TimeoutError as error:
        raise NeverHappenedError(f"{what}: not within {deadline_s:g} s") from error
