"""JSON is taken at its word: `true` is no number, and `"3"` is none either.

Pydantic would turn one into the other. Whoever sends `false` as a threshold has made a mistake that must not become 0.
"""

import copy
from typing import Any

from pydantic_core import CoreSchema

_EXACT = frozenset({"int", "float", "bool"})


def exact_scalars(schema: CoreSchema) -> CoreSchema:
    """`schema` with every number and truth value taken only as what it is."""
    exact = copy.deepcopy(schema)
    waiting: list[Any] = [exact]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if node.get("type") in _EXACT:
                node["strict"] = True
            waiting.extend(node.values())
        elif isinstance(node, list | tuple):
            waiting.extend(node)
    return exact
