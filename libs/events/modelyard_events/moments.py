"""Moments as outsiders write them: RFC 3339, with an offset, and such that every part behind can hold them."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError

from modelyard_events.limits import MOMENT_MAX, MOMENT_MIN

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6}0*)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_LOST_PLUS = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)? \d\d:\d\d", re.ASCII)
_WITHOUT_OFFSET = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?)?", re.ASCII)
_TOO_FINE = re.compile(r".*\.\d{7,}([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_CHARS_MAX = 64


def _spelled_out(moment: object) -> object:
    # Pydantic would take a number, also in a text, for seconds or milliseconds since 1970, and guess which.
    if isinstance(moment, datetime):
        return moment
    if isinstance(moment, str) and len(moment) <= _CHARS_MAX:
        if _RFC_3339.fullmatch(moment):
            return moment
        raise PydanticCustomError("moment", "{words}", {"words": _what_is_wrong(moment)})
    raise PydanticCustomError("moment", "is no moment: write it as RFC 3339 does, such as 2026-03-03T12:00:00Z")


def _what_is_wrong(moment: str) -> str:
    if _LOST_PLUS.fullmatch(moment):
        return "has a blank where its offset begins: in an address write + as %2B, such as 12:00:00%2B01:00, or use Z"
    if _TOO_FINE.fullmatch(moment):
        return "has more than six digits after its seconds: microseconds are the finest that is kept"
    if _WITHOUT_OFFSET.fullmatch(moment):
        return "has no time with an offset from UTC: write it in full, such as 2026-03-03T12:00:00Z"
    return "is no moment: write it as RFC 3339 does, such as 2026-03-03T12:00:00Z or 2026-03-03T13:00:00+01:00"


def _within_range(moment: datetime) -> datetime:
    if not MOMENT_MIN <= moment <= MOMENT_MAX:
        raise PydanticCustomError(
            "moment_range",
            "lies outside of {first} to {last}",
            {"first": MOMENT_MIN.isoformat(), "last": MOMENT_MAX.isoformat()},
        )
    return moment


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_spelled_out, json_schema_input_type=AwareDatetime),
    AfterValidator(_within_range),
]
"""A moment with its offset from UTC, as RFC 3339 writes it, to the microsecond."""
