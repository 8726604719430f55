"""Circuit breakers: who failed repeatedly is left alone for a moment, and then tried by one request first."""

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Trouble:
    failures: int = 0
    paused_until_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class Breakers:
    """One breaker for each key. Opens after `failures_max` failures in a row, for `pause_s`.

    A key is held only while it is in trouble, so that keys of former endpoints do not pile up.
    """

    failures_max: int
    pause_s: float
    _troubles: dict[Hashable, _Trouble] = field(default_factory=dict)

    def permits(self, key: Hashable, *, now_s: float) -> bool:
        """Whether `key` may be asked now. After a pause only one asker a pause is let through, until one succeeds."""
        trouble = self._troubles.get(key)
        if trouble is None or trouble.failures < self.failures_max:
            return True
        if now_s < trouble.paused_until_s:
            return False
        trouble.paused_until_s = now_s + self.pause_s
        return True

    def succeeded(self, key: Hashable) -> None:
        """`key` answered."""
        self._troubles.pop(key, None)

    def failed(self, key: Hashable, *, now_s: float) -> None:
        """`key` did not answer, or not sensibly."""
        trouble = self._troubles.setdefault(key, _Trouble())
        trouble.failures += 1
        trouble.paused_until_s = now_s + self.pause_s
