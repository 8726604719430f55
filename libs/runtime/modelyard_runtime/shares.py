"""Sharing a bounded number of places: nobody may take so many that the next one finds none."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from modelyard_runtime.errors import TransientError

SHARE_LEAST = 8


class ShareUsedUpError(TransientError):
    """Whoever asked holds as many places already as it may; nobody waits for one."""


@dataclass(slots=True, kw_only=True)
class Shares:
    """`places` for everybody together. An owner may hold as many as are free for others, and `least` in any case.

    So one owner alone gets half of them, and each further one half of what is left: whoever comes later still
    finds places. (Dynamic thresholds: A. K. Choudhury, E. L. Hahne, 1998.)
    """

    places: int
    least: int = SHARE_LEAST
    most: int | None = None
    _held: dict[Hashable, int] = field(default_factory=dict, init=False)
    _total: int = field(default=0, init=False)

    @contextmanager
    def holding(self, owner: Hashable) -> Iterator[None]:
        """Hold a place of `owner` for the length of the block. Raises ShareUsedUpError."""
        held, free = self._held.get(owner, 0), self.places - self._total
        if free <= 0 or held >= max(free, self.least) or held == self.most:
            raise ShareUsedUpError(f"{held} of {self.places} places are held for {owner} already")
        self._held[owner] = held + 1
        self._total += 1
        try:
            yield
        finally:
            self._total -= 1
            self._held[owner] -= 1
            if not self._held[owner]:
                del self._held[owner]
