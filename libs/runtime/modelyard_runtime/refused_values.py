"""What is wrong with a value, in words for whoever sent it: what came, cut, and what to send instead.

Pydantic's own words speak of Python, or show a regular expression. Secrets are never shown.
"""

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from modelyard_events.limits import ERROR_SHOWN_CHARS_MAX

_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "missing": "is missing: it must be given",
        "extra_forbidden": "is no field here",
        "string_type": "is no text: send it in double quotes",
        "string_unicode": "holds half of a surrogate pair, which is no character",
        "string_pattern_mismatch": "is not spelled as this field is; /docs shows how",
        "int_type": "is no whole number: send digits without quotes, such as 3",
        "int_from_float": "is no whole number: send it without a fraction",
        "int_parsing": "is no whole number: send digits only, such as 3",
        "int_parsing_size": "is a whole number of too many digits",
        "float_type": "is no number: send digits without quotes, such as 0.25",
        "float_parsing": "is no number: send one such as 0.25",
        "finite_number": "is no number that JSON has: neither NaN nor infinity is taken",
        "bool_type": "is neither true nor false: send one of these, without quotes",
        "bool_parsing": "is neither true nor false: send one of these",
        "dict_type": "is no JSON object: send {…}",
        "model_type": "is no JSON object: send {…}",
        "model_attributes_type": "is no JSON object: send {…}",
        "list_type": "is no JSON array: send […]",
        "tuple_type": "is no JSON array: send […]",
        "uuid_parsing": "is no id: send the UUID that an answer gave, such as 0190b0f0-8f43-7d4e-a5b6-1c2d3e4f5a6b",
        "uuid_type": "is no id: send the UUID that an answer gave, in double quotes",
    }
)
"""By Pydantic's name of the error; what is not here is told in Pydantic's own words."""

_SECRET = re.compile(r"authorization|secret|password|token$|signature", re.IGNORECASE)
_NOTHING_CAME = frozenset({"missing", "extra_forbidden", "unknown_field"})
_SENTENCE = re.compile(r"^(Value error, |Assertion failed, )")
_SUBJECT = re.compile(r"^(Input|String|Dictionary|List|Tuple|Value|Data) should (be|have|match)\b")


def location_of(parts: Sequence[str | int]) -> str:
    """Where it is in the request, such as `body.evidence.metrics.rmse`."""
    shown = [str(part)[:ERROR_SHOWN_CHARS_MAX] for part in parts if part != "[key]"]
    return _encodable(".".join(shown))


def in_words(kind: str, message: str, location: Sequence[str | int], came: object) -> str:
    """What is wrong with one value. `kind` and `message` are Pydantic's, `came` is what was sent."""
    words = _WORDS.get(kind) or _SUBJECT.sub(r"should \2", _SENTENCE.sub("", message))
    if location and location[-1] == "[key]":
        words = f"the name {words}"
    is_secret = any(_SECRET.search(str(part)[:ERROR_SHOWN_CHARS_MAX]) for part in location)
    if kind in _NOTHING_CAME or is_secret:
        return _encodable(words)
    return _encodable(f"{words} ({shown(came)} came)")


def shown(value: object) -> str:
    """A value as JSON writes it, cut."""
    match value:
        case Mapping():
            return f"an object of {len(value)} members"
        case list() | tuple() | set() | frozenset():
            return f"an array of {len(value)} items"
        case str():
            text = json.dumps(value[: ERROR_SHOWN_CHARS_MAX + 1], ensure_ascii=False)
        case bytes():
            text = json.dumps(value[: ERROR_SHOWN_CHARS_MAX + 1].decode("utf-8", "backslashreplace"))
        case bool() | None | int() | float():
            text = json.dumps(value)
        case _:
            text = type(value).__name__
    return _encodable(text if len(text) <= ERROR_SHOWN_CHARS_MAX else text[:ERROR_SHOWN_CHARS_MAX] + "…")


def all_in_words(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Pydantic's errors as callers see them: `location` and `message` of each."""
    return [
        {
            "location": location_of(each["loc"]),
            "message": in_words(each["type"], each["msg"], each["loc"], each["input"]),
        }
        for each in errors
    ]


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
