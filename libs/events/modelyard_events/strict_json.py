"""Reads JSON that somebody outside wrote: bounded before it is parsed, and understood in one way only.

RFC 8259 leaves open what a member that is there twice means, and parsers differ. Such a text is refused, as are NaN,
NUL and half of a surrogate pair, which nothing behind can store. The work is linear in the bytes.
"""

import json
import re
from codecs import BOM_UTF8
from typing import Any, NoReturn

from modelyard_events.limits import ERROR_SHOWN_CHARS_MAX, JSON_DEPTH_MAX

NODES_MAX = 60_000
"""Values in one document. A folder's manifest of 10,000 files is the largest that is sent; it has 30,001."""

INT_DIGITS_MAX = 40
"""Digits of one whole number: more than any type behind takes, and few enough to be read at once."""

_NOT_STRUCTURE = re.compile(rb"[^][{}]+")
_LARGE_NUMBER = re.compile(rb"[0-9]{%d}|[eE]\+?[0-9]{3}" % (INT_DIGITS_MAX + 1))
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")


class JsonRefusedError(ValueError):
    """The text is no JSON, or JSON that is not taken."""


def read_json(raw: bytes, *, nodes_max: int = NODES_MAX, depth_max: int = JSON_DEPTH_MAX) -> Any:
    """What a JSON text says. Raises JsonRefusedError, whose text says where and why."""
    decoder = _DECODER
    if not _is_small(raw, nodes_max=nodes_max, depth_max=depth_max):
        bare = _without_strings(raw)
        _refuse_large(bare, nodes_max=nodes_max, depth_max=depth_max)
        decoder = _WARY_DECODER if _LARGE_NUMBER.search(bare) else _DECODER
    try:
        text = raw.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise JsonRefusedError(f"the text is not UTF-8: the byte at position {error.start} is none") from error
    try:
        document = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise JsonRefusedError(_what_is_wrong(error)) from error
    except RecursionError as error:
        raise JsonRefusedError(f"it is nested deeper than {depth_max} levels") from error
    if b"\\u" in raw and _SUSPECT_ESCAPE.search(raw):
        _refuse_unstorable(document)
    return document


def is_storable(text: str) -> bool:
    """Whether PostgreSQL and UTF-8 can hold `text`: no NUL and no half of a surrogate pair."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_small(raw: bytes, *, nodes_max: int, depth_max: int) -> bool:
    """Whether a text is within all bounds even if what is in quotes counts: true of nearly every event, and cheap."""
    # A text cannot hold as many commas and brackets as it has bytes.
    is_short = len(raw) < nodes_max and raw.count(b"[") + raw.count(b"{") <= depth_max
    return is_short and _LARGE_NUMBER.search(raw) is None


def _without_strings(raw: bytes) -> bytes:
    """The text without what is in quotes. Where quotes are not balanced a parser stops before that matters."""
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(raw.split(b'"')[::2])


def _refuse_large(bare: bytes, *, nodes_max: int, depth_max: int) -> None:
    # Counting costs next to nothing; only a text with many brackets is looked at bracket by bracket.
    opened = bare.count(b"[") + bare.count(b"{")
    if bare.count(b",") + opened >= nodes_max:
        raise JsonRefusedError(f"it holds more than {nodes_max} values")
    if opened <= depth_max:
        return
    depth = 0
    for character in _NOT_STRUCTURE.sub(b"", bare):
        depth += 1 if character in b"[{" else -1
        if depth > depth_max:
            raise JsonRefusedError(f"it is nested deeper than {depth_max} levels")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise JsonRefusedError(f"an object has the member {_cut(name)} more than once: give each member once")
        seen.add(name)
    return members


def _whole_number(digits: str) -> int:
    if len(digits) > INT_DIGITS_MAX:
        raise JsonRefusedError(f"the whole number {_cut(digits)} has more than {INT_DIGITS_MAX} digits")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise JsonRefusedError(f"the number {_cut(digits)} is larger than a double can hold")
    return number


def _no_number(name: str) -> NoReturn:
    raise JsonRefusedError(f"{name} is nothing that JSON has: leave the member out, or send null where it is allowed")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_number)
_WARY_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_whole_number, parse_float=_number, parse_constant=_no_number
)
"""Looks at each number, which takes three times as long: only for texts in which some number may be too large."""


def _refuse_unstorable(document: Any) -> None:
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str) and not is_storable(node):
            raise JsonRefusedError(f"the text {_cut(node)} holds NUL or half of a surrogate pair, which is not stored")
        if isinstance(node, dict):
            waiting.extend(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _what_is_wrong(error: json.JSONDecodeError) -> str:
    around = error.doc[max(error.pos - 10, 0) : error.pos + 20]
    advice = ""
    if error.doc[error.pos : error.pos + 1] == "'":
        advice = "; JSON writes names and texts in double quotes"
    where = f"line {error.lineno}, column {error.colno}"
    return f"{error.msg} at {where}, near {_cut(around)}{advice}"


def _cut(text: str) -> str:
    shown = text if len(text) <= ERROR_SHOWN_CHARS_MAX else text[:ERROR_SHOWN_CHARS_MAX] + "…"
    return ascii(shown) if not is_storable(shown) else repr(shown)
