"""Whether an answer still says what was sent: nothing of it lost, changed or chosen among."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

SPELLED_OTHERWISE = {"semver", "version"}
"""What may be sent with or without a leading `v`."""


def lost_of(sent: Any, got: Any, *, at: str = "") -> list[str]:
    """Where `got` says something else than `sent`; members that the answer does not have at its top are not judged."""
    if not (isinstance(sent, Mapping) and isinstance(got, Mapping)):
        return [] if _is_same(sent, got) else [f"{at}: {sent!r} became {got!r}"[:300]]
    lost = []
    for name, value in sent.items():
        if name not in got:
            # At the top it may be about the request, not the thing; null means that it is to be away.
            lost += [] if not at or value is None else [f"{at}.{name}: {value!r} is gone"[:300]]
        elif name not in SPELLED_OTHERWISE:
            lost += lost_of(value, got[name], at=f"{at}.{name}")
    return lost


def _is_same(sent: Any, got: Any) -> bool:
    if isinstance(sent, bool) or isinstance(got, bool) or sent is None or got is None:
        return sent is got
    if isinstance(sent, int | float) and isinstance(got, int | float):
        return sent == got or float(sent) == float(got)
    if isinstance(sent, list) and isinstance(got, list):
        if len(sent) == len(got) and all(
            not lost_of(one, other, at="[]") for one, other in zip(sent, got, strict=True)
        ):
            return True
        # Tags and the like are answered in an order of their own.
        return all(isinstance(each, str) for each in [*sent, *got]) and sorted(sent) == sorted(got)
    return type(sent) is type(got) and (sent == got or _is_same_moment(sent, got))


def _is_same_moment(sent: Any, got: Any) -> bool:
    try:
        return datetime.fromisoformat(sent) == datetime.fromisoformat(got)
    except (TypeError, ValueError):
        return False
