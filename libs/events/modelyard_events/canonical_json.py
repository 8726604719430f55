"""JSON in one spelling only, as RFC 8785 has it: whoever hashes a document gets the same hash everywhere."""

import json
import sys
from decimal import Decimal
from typing import Any

_EXACT_MAX = 2**53
# From this power of ten on, and below the other, ECMAScript writes an exponent.
_EXPONENT_FROM = 21
_EXPONENT_BELOW = -6


def canonical_bytes(document: Any) -> bytes:
    """The one spelling of `document`, which is such as JSON has: keys sorted, no spaces, numbers as doubles.

    A whole number beyond all doubles, of which RFC 8785 knows nothing, is written out.
    """
    if _is_plain(document):
        return _PLAIN.encode(document).encode()
    return _spelled(document).encode()


# What is below holds for all of JSON; this spells the same, many times faster, where nothing is special.
_PLAIN = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _is_plain(node: Any) -> bool:
    """Whether there are neither fractions nor large numbers in it, nor keys whose order depends on their encoding."""
    match node:
        case str() | bool() | None:
            return True
        case int():
            return abs(node) <= _EXACT_MAX
        case dict():
            return all(key.isascii() and _is_plain(each) for key, each in node.items())
        case list() | tuple():
            return all(_is_plain(item) for item in node)
        case _:
            return False


def _spelled(node: Any) -> str:
    match node:
        case dict():
            keys = sorted(node, key=lambda key: key.encode("utf-16-be"))
            return "{" + ",".join(f"{_spelled(key)}:{_spelled(node[key])}" for key in keys) + "}"
        case list() | tuple():
            return "[" + ",".join(_spelled(item) for item in node) + "]"
        case bool() | None | str():
            return json.dumps(node, ensure_ascii=False)
        case int() if abs(node) <= _EXACT_MAX:
            return str(node)
        case int() if abs(node) > sys.float_info.max:
            return str(node)
        case int() | float():
            return _spelled_double(float(node))
        case _:
            raise TypeError(f"{type(node).__name__} is nothing that JSON has")


def _spelled_double(number: float) -> str:
    if number == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{number} is nothing that JSON has")
    text, point = "".join(map(str, digits)), len(digits) + exponent
    if len(text) <= point <= _EXPONENT_FROM:
        spelled = text + "0" * (point - len(text))
    elif 0 < point <= _EXPONENT_FROM:
        spelled = f"{text[:point]}.{text[point:]}"
    elif _EXPONENT_BELOW < point <= 0:
        spelled = f"0.{'0' * -point}{text}"
    else:
        mantissa = text if len(text) == 1 else f"{text[0]}.{text[1:]}"
        spelled = f"{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return "-" + spelled if sign else spelled
