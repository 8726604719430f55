"""Which records of a state topic the registry signed, and whether anybody else writes to the topic.

A record without the registry's signature is as if it were not there: it is counted, told, and applied by nobody.
Somebody has to look at it all the same, for whoever wrote it may write to a topic that belongs to the registry.
"""

from collections.abc import Callable
from typing import Any

import structlog
from modelyard_events.codec import Record

from modelyard_runtime.metrics import STATE_RECORDS_REFUSED
from modelyard_runtime.state.keys import StateKeys

log = structlog.get_logger()

TOLD_EVERY_S = 10.0
"""Refused records of this time are told in one line: a flood of them must not become a flood of lines."""
REMEMBERED_S = 3_600.0
"""How long a refused record keeps the service degraded after it was written."""
KEYS_MAX = 10_000


class StateProof:
    """Judges the records of one topic, in the order of the log. Without `keys` everything is believed."""

    def __init__(self, keys: StateKeys | None, *, topic: str, seconds: Callable[[], float]) -> None:
        self._keys = keys
        self._topic = topic
        self._seconds = seconds
        # Hashes of the record keys whose last record was refused: what a new reader would not find.
        self._uncovered: set[int] = set()
        self._refused_at_s: float | None = None
        self._told_at_s: float | None = None
        self._untold = 0

    @property
    def is_checked(self) -> bool:
        """Whether signatures are checked at all."""
        return self._keys is not None

    def is_proved(self, record: Any, *, is_new: bool) -> bool:
        """Whether the registry signed this record. `is_new` says that it was written after the topic was read once."""
        if self._keys is None:
            return True
        reason = self._keys.why_refused(Record(key=record.key, value=record.value, headers=tuple(record.headers)))
        key = hash(record.key)
        if reason is None:
            self._uncovered.discard(key)
            return True
        if len(self._uncovered) < KEYS_MAX:
            self._uncovered.add(key)
        self._note_refused(record, reason=reason, is_new=is_new)
        return False

    def trouble(self) -> str:
        """What a person should look at, or nothing."""
        is_recent = self._refused_at_s is not None and self._seconds() - self._refused_at_s < REMEMBERED_S
        if not is_recent and not self._uncovered:
            return ""
        waiting = f"; {len(self._uncovered)} keys end with one" if self._uncovered else ""
        return f"records without the registry's signature are on {self._topic} and are ignored{waiting}"

    def _note_refused(self, record: Any, *, reason: str, is_new: bool) -> None:
        now_s = self._seconds()
        STATE_RECORDS_REFUSED.labels(self._topic).inc()
        self._untold += 1
        if is_new:
            self._refused_at_s = now_s
        if self._told_at_s is not None and now_s - self._told_at_s < TOLD_EVERY_S:
            return
        log.error(
            "state_record_refused",
            topic=self._topic,
            partition=record.partition,
            offset=record.offset,
            key=repr(record.key)[:200],
            reason=reason,
            count=self._untold,
        )
        self._told_at_s, self._untold = now_s, 0
