"""Reads JSON that others wrote. Its size is bounded before it is parsed, and a repeated member is refused.

A repeated member is refused because one reader could check its first value and another act on the second. The check is
linear in the bytes, and costs almost nothing in the ordinary case: a text has a colon for each member, so if it has no
more colons than the document has members, no member is repeated.
"""

import json
import re
from typing import Any

import orjson
from modelyard_events.shown import shown

VALUES_MAX = 250_000
"""Elements of all tensors together: an image of 224 by 224 points in three colours has 150,528."""

CONTAINERS_MAX = 20_000
"""Lists and objects: 2,000 inputs have 8,000. Rows may be sent flat, which costs a fraction."""

MEMBERS_MAX = 20_000
"""Members of all objects: 2,000 inputs have 8,000, and as many again for parameters."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class DuplicateMemberError(ValueError):
    """An object has a member twice; the text names it."""


class TooManyValuesError(ValueError):
    """The document has more values, lists, objects or members than are read; the text says which and how many."""


def json_in(body: bytes) -> Any:
    """Return the JSON value in `body`. Raises one of the errors above, or ValueError for invalid JSON."""
    bare = None
    if not _is_small(body):
        bare = _without_strings(body)
        _refuse_large(bare)
    document = orjson.loads(body)
    if body.count(b":") > _members_at_the_top(document):
        bare = _without_strings(body) if bare is None else bare
        if bare.count(b":") > _members_in(document):
            json.loads(body, object_pairs_hook=_refuse_twice)
    return document


def _is_small(text: bytes) -> bool:
    return (
        text.count(b":") <= MEMBERS_MAX
        and text.count(b",") < VALUES_MAX
        and text.count(b"[") + text.count(b"{") <= CONTAINERS_MAX
    )


def _refuse_large(bare: bytes) -> None:
    if bare.count(b",") >= VALUES_MAX:
        raise TooManyValuesError(f"it has more than {VALUES_MAX} values")
    if bare.count(b"[") + bare.count(b"{") > CONTAINERS_MAX:
        raise TooManyValuesError(f"it has more than {CONTAINERS_MAX} lists and objects; rows may be sent flat")
    if bare.count(b":") > MEMBERS_MAX:
        raise TooManyValuesError(f"its objects have more than {MEMBERS_MAX} members")


def _without_strings(body: bytes) -> bytes:
    if b"\\" in body:
        return _STRING.sub(b"", body)
    return b"".join(body.split(b'"')[::2])


def _members_at_the_top(document: Any) -> int:
    """Count the members of the objects in an ordinary request. Deeper objects are not counted."""
    if type(document) is not dict:
        return 0
    count = len(document)
    for value in document.values():
        if type(value) is dict:
            count += len(value)
        elif type(value) is list:
            count += sum(len(each) for each in value if type(each) is dict)
    return count


def _members_in(document: Any) -> int:
    count, waiting = 0, [document]
    while waiting:
        node = waiting.pop()
        if type(node) is dict:
            count += len(node)
            waiting.extend(node.values())
        elif type(node) is list and not {dict, list}.isdisjoint(set(map(type, node))):
            waiting.extend(node)
    return count


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise DuplicateMemberError(f"an object has the member {shown(name)} twice")
        names.add(name)
