"""Which offset may be committed: the first one that is not done yet, however the others finish."""

from collections import deque


class OffsetTracker:
    """Follows one partition's records from taken to done.

    Offsets are taken in rising order but not without gaps (compaction, transaction markers); they may be
    done in any order. `next_offset` only moves over an unbroken run of done ones.
    """

    def __init__(self) -> None:
        self._taken: deque[int] = deque()
        self._done: set[int] = set()
        self._next_offset: int | None = None

    @property
    def next_offset(self) -> int | None:
        """The offset to commit (exclusive), or None while nothing is done."""
        return self._next_offset

    @property
    def outstanding(self) -> int:
        """Records taken which the committable offset has not passed."""
        return len(self._taken)

    @property
    def oldest_outstanding(self) -> int | None:
        """The first offset that is taken and not passed, or None."""
        return self._taken[0] if self._taken else None

    @property
    def next_taken(self) -> int:
        """The lowest offset that may be taken next."""
        return self._taken[-1] + 1 if self._taken else self._next_offset or 0

    def take(self, offset: int) -> None:
        """A record was taken in. Raises ValueError when its offset does not rise."""
        if offset < self.next_taken:
            msg = f"offset {offset} came after {self.next_taken - 1}"
            raise ValueError(msg)
        self._taken.append(offset)

    def finish(self, offset: int) -> None:
        """A record that was taken is done."""
        self._done.add(offset)
        while self._taken and self._taken[0] in self._done:
            first = self._taken.popleft()
            self._done.discard(first)
            self._next_offset = first + 1
