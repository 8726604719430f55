"""Limits how often shadows are asked. All replays of this process share the limit."""

import asyncio


class RateLimiter:
    """Lets at most `requests_per_s_max` requests begin per second, at equal distances."""

    def __init__(self, *, requests_per_s_max: float) -> None:
        self._interval_s = 1.0 / requests_per_s_max
        self._next_at_s = 0.0

    async def wait(self) -> None:
        """Wait until the next request may begin."""
        now_s = asyncio.get_running_loop().time()
        begin_at_s = max(now_s, self._next_at_s)
        self._next_at_s = begin_at_s + self._interval_s
        if begin_at_s > now_s:
            await asyncio.sleep(begin_at_s - now_s)
