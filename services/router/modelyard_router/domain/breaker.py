"""Circuit breakers: a server that failed repeatedly is not asked for a pause; then one request tries it first.

Each share (a project's tenant) has its own breaker, because the requests of one share may be what makes the server
fail. All shares are stopped only when the server cannot be reached, or when several shares failed and none has
succeeded since.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum

SHARES_TO_STOP_ALL = 3
"""How many shares must have failed before the server itself counts as failing."""

SHARES_MAX = 1_000
"""Failing shares that are remembered for one key. Callers choose the names of tenants, so there is a limit."""


KEYS_MAX = 10_000
"""Failing keys that are remembered. At the limit the oldest is forgotten, such as that of a former endpoint."""


class Blame(StrEnum):
    """Whom a failure counts against."""

    NOBODY = "nobody"
    SHARE = "share"
    EVERYBODY = "everybody"


@dataclass(slots=True)
class _Trouble:
    failures: int = 0
    paused_until_s: float = 0.0


@dataclass(slots=True)
class _Key:
    unreachable: _Trouble = field(default_factory=_Trouble)
    together: _Trouble = field(default_factory=_Trouble)
    shares: dict[Hashable, _Trouble] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Breakers:
    """One breaker for each key, with one for each share of it. Opens after `failures_max` failures, for `pause_s`.

    A key is remembered only while it is failing.
    """

    failures_max: int
    pause_s: float
    _keys: dict[Hashable, _Key] = field(default_factory=dict)

    def permits(self, key: Hashable, *, share: Hashable = None, now_s: float) -> bool:
        """Whether `share` may ask `key` now. After a pause, one request in each pause may, until one succeeds."""
        held = self._keys.get(key)
        if held is None:
            return True
        own = held.shares.get(share)
        if own is not None and own.failures >= self.failures_max and not self._is_its_turn(own, now_s):
            return False
        if held.unreachable.failures >= self.failures_max:
            return self._is_its_turn(held.unreachable, now_s)
        if self._all_are_stopped(held) and own is not None:
            # A share that never failed may ask: its success shows that the other shares cause the failures.
            return self._is_its_turn(held.together, now_s)
        return True

    def succeeded(self, key: Hashable, *, share: Hashable = None) -> None:
        """Note that `key` answered `share`."""
        held = self._keys.get(key)
        if held is None:
            return
        held.shares.pop(share, None)
        held.unreachable = _Trouble()
        held.together = _Trouble()
        if not held.shares:
            del self._keys[key]

    def failed(self, key: Hashable, *, share: Hashable = None, blame: Blame = Blame.SHARE, now_s: float) -> None:
        """Note that `key` gave `share` no valid answer."""
        if blame is Blame.NOBODY:
            return
        if key not in self._keys and len(self._keys) >= KEYS_MAX:
            del self._keys[next(iter(self._keys))]
        held = self._keys.setdefault(key, _Key())
        if blame is Blame.EVERYBODY:
            self._count(held.unreachable, now_s)
            return
        if share not in held.shares and len(held.shares) >= SHARES_MAX:
            del held.shares[next(iter(held.shares))]
        self._count(held.shares.setdefault(share, _Trouble()), now_s)
        self._count(held.together, now_s)

    def _count(self, trouble: _Trouble, now_s: float) -> None:
        trouble.failures += 1
        trouble.paused_until_s = now_s + self.pause_s

    def _is_its_turn(self, trouble: _Trouble, now_s: float) -> bool:
        if now_s < trouble.paused_until_s:
            return False
        trouble.paused_until_s = now_s + self.pause_s
        return True

    def _all_are_stopped(self, held: _Key) -> bool:
        return held.together.failures >= self.failures_max and len(held.shares) >= SHARES_TO_STOP_ALL
