"""How many a minute, and no more."""

from collections.abc import Callable


class Allowance:
    """`per_minute` at once, and as many again within a minute."""

    def __init__(self, per_minute: int, *, seconds: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._seconds = seconds
        self._left = float(per_minute)
        self._at_s = seconds()

    def take(self) -> bool:
        """Whether one more is allowed now."""
        now_s = self._seconds()
        self._left = min(self._per_minute, self._left + (now_s - self._at_s) * self._per_minute / 60)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True
