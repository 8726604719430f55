"""When dead-lettering stops being a remedy: then it is not the records that are wrong, but we."""

from collections import deque


class Brake:
    """Counts the dead letters of one partition and says when to stop taking its records.

    It trips at `consecutive_max` dead letters in a row, or when more than `ratio_max` of the last
    `window` records (once there were that many) were dead letters. It stays tripped.
    """

    def __init__(self, *, consecutive_max: int, ratio_max: float, window: int) -> None:
        self._consecutive_max = consecutive_max
        self._ratio_max = ratio_max
        self._window = window
        self._recent: deque[bool] = deque()
        self._consecutive = 0
        self._dead_count = 0
        self._is_on = False

    @property
    def is_on(self) -> bool:
        """Whether the partition must stand still until a person looked and restarted the process."""
        return self._is_on

    @property
    def remaining(self) -> int:
        """How many more dead letters in a row it takes to trip, at least 1."""
        return max(1, self._consecutive_max - self._consecutive)

    def count(self, *, is_dead: bool) -> None:
        """One more record was settled: handled or ignored, or parked as a dead letter."""
        self._consecutive = self._consecutive + 1 if is_dead else 0
        self._recent.append(is_dead)
        self._dead_count += is_dead
        if len(self._recent) > self._window:
            self._dead_count -= self._recent.popleft()
        is_full = len(self._recent) == self._window
        has_too_many = is_full and self._dead_count > self._ratio_max * self._window
        if self._consecutive >= self._consecutive_max or has_too_many:
            self._is_on = True
