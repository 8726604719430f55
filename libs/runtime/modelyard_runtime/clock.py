"""Time as an argument: whatever needs to know the time is given a clock."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Answers the present moment, with a time zone."""


def utc_now() -> datetime:
    """The present moment in UTC: the clock that `app.py` chooses outside tests."""
    return datetime.now(UTC)
