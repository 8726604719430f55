"""How long others wait while somebody sends a service its most expensive request.

A service answers from one event loop: whatever one request computes at a stretch, all others wait for. The measure is
the slowest of many small requests that somebody else sends meanwhile. Where the machine itself is busy, everything is
slow, so the time that the loop's own thread computed until the answer counts, too: a request is sent again until its
neighbours were served in time, or it has had enough chances.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

WAIT_S_MAX = 0.1
WAIT_S_MAX_ON_A_BUSY_MACHINE = 2.0
CHANCES = 5
PAUSE_S = 0.002

Send = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The longest wait of a neighbour: by the clock, and as the time that the loop computed meanwhile."""

    waited_s: float
    computed_s: float

    @property
    def is_short(self) -> bool:
        """Whether a tenth of a second was enough, or would have been if the machine had had nothing else to do."""
        if self.waited_s <= WAIT_S_MAX:
            return True
        return self.computed_s <= WAIT_S_MAX and self.waited_s <= WAIT_S_MAX_ON_A_BUSY_MACHINE


async def longest_wait_beside(request: Send, *, asks: Send, chances: int = CHANCES) -> Wait:
    """Send `request`, and `asks` beside it all the while, served in this thread; answers the best of all chances."""
    found = [await _longest_wait(request, asks=asks)]
    while not found[-1].is_short and len(found) < chances:
        found.append(await _longest_wait(request, asks=asks))
    return min(found, key=lambda wait: wait.computed_s)


async def _longest_wait(request: Send, *, asks: Send) -> Wait:
    waited_s = computed_s = 0.0
    running = asyncio.ensure_future(request())
    is_over = False
    while not is_over:
        is_over = running.done()
        began_s, began_computing_s = time.perf_counter(), time.thread_time()
        await asks()
        waited_s = max(waited_s, time.perf_counter() - began_s)
        computed_s = max(computed_s, time.thread_time() - began_computing_s)
        await asyncio.sleep(PAUSE_S)
    await running
    return Wait(waited_s=waited_s, computed_s=computed_s)
