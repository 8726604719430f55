"""How often shadows may be asked: turns at equal distances, shared by all replays of this process."""

import asyncio


class Pace:
    """Gives `turns_per_s_max` turns a second; who asks too early waits for the next free one."""

    def __init__(self, *, turns_per_s_max: float) -> None:
        self._interval_s = 1.0 / turns_per_s_max
        self._next_at_s = 0.0

    async def turn(self) -> None:
        """Wait for the next turn."""
        now_s = asyncio.get_running_loop().time()
        turn_at_s = max(now_s, self._next_at_s)
        self._next_at_s = turn_at_s + self._interval_s
        if turn_at_s > now_s:
            await asyncio.sleep(turn_at_s - now_s)
