"""When dead-lettering stops being a remedy: many senders fail at once, so the defect is ours, not theirs."""

import time
from collections import deque
from collections.abc import Callable, Iterator

SENDERS_MIN = 3
"""So many senders do not make the same mistake within one window by chance."""
SUSPECT_AFTER = 3
"""After so many failures within the window a sender's records get one attempt each."""


class DeadLetterLimit:
    """Counts the dead letters of one partition, and holds the partition when they point to a defect of ours.

    A dead letter of a known sender counts only while `SENDERS_MIN` senders or more have some among the last `window`
    records. `consecutive_max` that count in a row, or more than `ratio_max` of the window once it is full, hold the
    partition. After `hold_initial_s` one record is tried: if it is handled the partition goes on, if not it is held
    twice as long, up to `hold_max_s`.
    """

    def __init__(
        self,
        *,
        consecutive_max: int,
        ratio_max: float,
        window: int,
        hold_initial_s: float,
        hold_max_s: float,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consecutive_max = consecutive_max
        self._ratio_max = ratio_max
        self._window = window
        self._hold_initial_s = hold_initial_s
        self._hold_max_s = hold_max_s
        self._seconds = seconds
        self._recent: deque[tuple[bool, str | None]] = deque(maxlen=window)
        self._hold_s = 0.0
        self._try_at_s: float | None = None
        self._since_release = 0

    @property
    def is_held(self) -> bool:
        """Whether the partition takes no records but those that it tries now and then."""
        return self._try_at_s is not None

    @property
    def wait_s(self) -> float:
        """How long to wait before the next record may be taken; 0 when it may be now."""
        return 0.0 if self._try_at_s is None else max(0.0, self._try_at_s - self._seconds())

    @property
    def remaining(self) -> int:
        """How many more dead letters in a row it takes at least to hold the partition, at least 1."""
        return 1 if self.is_held else max(1, self._consecutive_max - self._in_a_row())

    def is_suspect(self, sender: str | None) -> bool:
        """Whether so many records of a sender failed lately that the next one gets one attempt only."""
        return sender is not None and sum(is_dead and who == sender for is_dead, who in self._recent) >= SUSPECT_AFTER

    def count(self, *, is_dead: bool, sender: str | None = None) -> None:
        """One more record was handled, or parked though no sender is known to be at fault.

        `sender` is whose record it was, None when nobody needs to say so.
        """
        self._recent.append((is_dead, sender))
        if not is_dead:
            self._go_on()
        elif self.is_held or self._in_a_row() >= self._consecutive_max or self._is_share_too_large():
            self._hold()

    def _go_on(self) -> None:
        if self.is_held:
            self._try_at_s = None
            self._recent.clear()
            self._since_release = 0
        self._since_release += 1
        if self._since_release > self._window:
            self._hold_s = 0.0

    def _hold(self) -> None:
        self._hold_s = min(self._hold_max_s, self._hold_s * 2 or self._hold_initial_s)
        self._try_at_s = self._seconds() + self._hold_s

    def _in_a_row(self) -> int:
        run: list[str | None] = []
        for is_dead, sender in reversed(self._recent):
            if not is_dead:
                break
            run.append(sender)
        return sum(self._counting(run))

    def _is_share_too_large(self) -> bool:
        dead = [sender for is_dead, sender in self._recent if is_dead]
        return len(self._recent) == self._window and sum(self._counting(dead)) > self._ratio_max * self._window

    def _counting(self, dead: list[str | None]) -> Iterator[bool]:
        """Whether each of these dead letters counts."""
        are_many = len({sender for is_dead, sender in self._recent if is_dead and sender is not None}) >= SENDERS_MIN
        return (sender is None or are_many for sender in dead)
