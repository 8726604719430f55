"""Floods summed up: the first of a kind passes at once, and what follows within a minute passes as one, with its count.

So whoever repeats itself can fill neither a log nor a queue, and nothing that happened goes uncounted.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from modelyard_runtime.clock import Clock

WINDOW = timedelta(minutes=1)
KINDS_MAX = 10_000

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Summed(Generic[Value]):
    """The last of `count` things of one kind."""

    value: Value
    count: int


@dataclass(slots=True)
class _Window(Generic[Value]):
    ends_at: datetime
    more: int = 0
    last: list[Value] = field(default_factory=list)


class Sums(Generic[Value]):
    """Counts things by kind, a minute at a time; at most `kinds_max` kinds at once, the oldest make room."""

    def __init__(self, *, clock: Clock, kinds_max: int = KINDS_MAX) -> None:
        self._clock = clock
        self._kinds_max = kinds_max
        self._windows: dict[Hashable, _Window[Value]] = {}

    def note(self, kind: Hashable, value: Value) -> list[Summed[Value]]:
        """Take in one thing; answers what is to be said now, the sum of a minute that is over first."""
        now = self._clock()
        window = self._windows.get(kind)
        if window is not None and now < window.ends_at:
            window.more += 1
            window.last[:] = [value]
            return []
        said = _sum_of(self._windows.pop(kind, None))
        if len(self._windows) >= self._kinds_max:
            said += _sum_of(self._windows.pop(next(iter(self._windows))))
        self._windows[kind] = _Window(ends_at=now + WINDOW)
        return [*said, Summed(value, 1)]

    def ended(self) -> list[Summed[Value]]:
        """The sums of the minutes that are over."""
        now = self._clock()
        over = [kind for kind, window in self._windows.items() if window.ends_at <= now]
        return [summed for kind in over for summed in _sum_of(self._windows.pop(kind))]

    def everything(self) -> list[Summed[Value]]:
        """All sums, those of minutes that are not over too: the process ends."""
        windows, self._windows = list(self._windows.values()), {}
        return [summed for window in windows for summed in _sum_of(window)]


def _sum_of(window: _Window[Value] | None) -> list[Summed[Value]]:
    return [] if window is None else [Summed(value, window.more) for value in window.last]
