"""JSON of any shape within bounds: what callers may attach without the registry knowing its meaning.

The check walks with a list of its own instead of recursing, so that a hostile document cannot exhaust the stack.
"""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from modelyard_events.limits import FREE_JSON_CHARS_MAX as CHARS_MAX
from modelyard_events.limits import FREE_JSON_DEPTH_MAX as DEPTH_MAX
from modelyard_events.limits import FREE_JSON_NODES_MAX as NODES_MAX
from modelyard_events.strict_json import is_storable


def _within_bounds(document: dict[str, Any]) -> dict[str, Any]:
    nodes, chars = 0, 0
    waiting: list[tuple[Any, int]] = [(document, 1)]
    while waiting:
        node, depth = waiting.pop()
        nodes += 1
        chars += _chars_of(node)
        if depth > DEPTH_MAX:
            raise ValueError(f"is nested deeper than {DEPTH_MAX} levels")
        if nodes > NODES_MAX or chars > CHARS_MAX:
            raise ValueError(f"holds more than {NODES_MAX} values or {CHARS_MAX} characters")
        if isinstance(node, dict):
            waiting.extend((key, depth) for key in node)
            waiting.extend((value, depth + 1) for value in node.values())
        elif isinstance(node, list | tuple):
            waiting.extend((item, depth + 1) for item in node)
    return document


def _chars_of(node: object) -> int:
    match node:
        case None | bool() | dict() | list() | tuple():
            return 0
        case str():
            if not is_storable(node):
                raise ValueError("holds a character that cannot be stored (NUL or half a surrogate pair)")
            return len(node)
        case int():
            return node.bit_length() // 3
        case float() if math.isfinite(node):
            return 0
        case _:
            raise ValueError("holds something that JSON cannot say, such as NaN")


FreeJson = Annotated[
    dict[str, Any],
    Field(description=f"Any JSON object, at most {DEPTH_MAX} levels and {CHARS_MAX} characters."),
    AfterValidator(_within_bounds),
]
"""A JSON object whose meaning is the caller's own."""
