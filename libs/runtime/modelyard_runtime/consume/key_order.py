"""Which record may start next: the oldest whose key is not being worked on."""

from collections import deque
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")


class KeyScheduler(Generic[T]):
    """Hands out records so that no two of one key are in flight at once and each key keeps its order.

    Among the records that may start, the lowest offset goes first: with one record in flight at a time
    that is simply the partition's order. Records without a key count as one key.
    """

    def __init__(self, *, concurrency_max: int) -> None:
        self._concurrency_max = concurrency_max
        self._in_flight = 0
        self._ready: list[tuple[int, bytes | None, T]] = []
        self._blocked: dict[bytes | None, deque[tuple[int, T]]] = {}
        """Per key with a record ready or in flight: what waits behind it."""

    @property
    def in_flight(self) -> int:
        """Records handed out and not finished."""
        return self._in_flight

    def offer(self, item: T, *, key: bytes | None, offset: int) -> None:
        """Add a record. Offsets rise from call to call."""
        waiting = self._blocked.get(key)
        if waiting is None:
            self._blocked[key] = deque()
            heappush(self._ready, (offset, key, item))
        else:
            waiting.append((offset, item))

    def take(self) -> T | None:
        """The next record to start, or None when there is none or enough are in flight."""
        if not self._ready or self._in_flight >= self._concurrency_max:
            return None
        self._in_flight += 1
        return heappop(self._ready)[2]

    def finish(self, *, key: bytes | None) -> None:
        """The record of that key which was in flight is done: the next of its key may start."""
        self._in_flight -= 1
        waiting = self._blocked[key]
        if waiting:
            offset, item = waiting.popleft()
            heappush(self._ready, (offset, key, item))
        else:
            del self._blocked[key]
