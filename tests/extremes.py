"""Extreme values for every field of every door, drawn from a fixed seed; more of them on demand.

`MODELYARD_EXTREMES=5000` draws so many documents per test, from a new seed each time, which is printed;
`MODELYARD_EXTREMES_SEED` repeats a seed.
"""

import json
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

T = TypeVar("T")

DRAWN_BY_DEFAULT = 150
SEED = 20_260_303


@dataclass(frozen=True, slots=True)
class Raw:
    """A piece of JSON, or of what is nearly JSON, as it is to be written."""

    text: str


@dataclass(frozen=True, slots=True)
class Twice:
    """An object whose member `name` is there twice."""

    members: Mapping[str, Any]
    name: str
    second: Any


WHOLE_NUMBERS: tuple[int, ...] = (
    *(sign * (2**power + step) for power in (15, 31, 32, 53, 63, 64) for step in (-1, 0, 1) for sign in (1, -1)),
    *(0, 1, -1, 10**18, 10**19, 10**30),
)

OTHER_NUMBERS: tuple[Any, ...] = (
    *map(Raw, ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e308", "5e-324", "-0.0", "0.1e1")),
    *(Raw("9" * 400), Raw("9" * 5_000), 1.5, True, False),
)

MOMENTS: tuple[str, ...] = (
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00-14:00", "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999-14:00", "9999-12-31T23:59:59+14:00", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z", "2026-03-03T24:00:00Z", "2026-03-03T23:59:60Z", "2026-03-03T12:00:00", "2026-03-03",
    "2026-03-03T12:00:00+25:00", "٢٠٢٦-03-03T12:00:00Z", "1767225600", "-1",
    "2026-03-03T12:00:00.123456789Z",
)  # fmt: skip

TEXTS: tuple[str, ...] = (
    "", " ", "\t", "\n", "\r\n", "\0", "a\0b", "\x7f", "\x85", "\ud800", "a\udfffb", "\ufffe", "\U0010ffff",
    "\u202e", "\u200b", "Müller", "Mu\u0308ller", "\u1e9b\u0323", "\ufb01", "\u0661\u0662\u0663", "1.5\u0663.0",
    "\uff13", "\u00b2", "\u2167", "null", "true", "NaN", "-1", "1e5", "0x10", "../..", "%00", "%2e%2e%2f", "a/b",
    "a=b", "=x", "'; drop table x; --", "{{7*7}}", "$1", "\\", '"', "\U0001f4a5" * 50, "é" * 200,
    "x" * 100, "x" * 101, "x" * 200, "x" * 201, "é" * 2_704, "x" * 70_000,
)  # fmt: skip

DEEP: tuple[Raw, ...] = (
    *(Raw("[" * levels + "]" * levels) for levels in (11, 64, 65, 200, 300, 5_000)),
    *(Raw('{"a":' * levels + "1" + "}" * levels) for levels in (11, 64, 300)),
)

SHAPES: tuple[Any, ...] = (
    None, [], {}, [[]], [{}], {"": ""}, {"": None}, list(range(3_000)),
    {f"k{number}": number for number in range(3_000)}, Twice({"a": 1}, "a", 2), ["x", "x"], [None], [Raw("NaN")],
    {"a": Raw("NaN")}, {"\0": 1}, {"\ud800": 1},
    {"x": "\ud800"},
)  # fmt: skip

VALUES: tuple[Any, ...] = (*WHOLE_NUMBERS, *OTHER_NUMBERS, *MOMENTS, *TEXTS, *DEEP, *SHAPES)
"""Every extreme once: what `values` draws from first."""

HEADER_BYTES: tuple[bytes | None, ...] = (
    None, b"", b" ", b"\0", b"a\0b", b"\xff\xfe", b"\xed\xa0\x80", b"\n", b"\x7f", b"\xc2\x85", b"x" * 200, b"x" * 201,
    b"x" * 40_000, "é".encode() * 101, "\u0661\u0662".encode(), b"-1", b"9" * 18, b"9" * 19, b"9" * 5_000, b"1.0", b"0",
    b"NaN", b"true", *(moment.encode() for moment in MOMENTS),
)  # fmt: skip
"""Values of headers, which need not be text at all."""


def values() -> st.SearchStrategy[Any]:
    """Any extreme value, also in small lists and objects."""
    leaves = st.sampled_from(VALUES) | st.text(max_size=20) | st.integers() | st.floats()
    return leaves | st.lists(leaves, max_size=3) | st.dictionaries(st.sampled_from(TEXTS[:30]), leaves, max_size=3)


def documents_with_extremes(sound: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """`sound` with one to three of its fields, at any depth, extreme, left out, doubled or joined by unknown ones."""
    places = list(_places(sound))

    @st.composite
    def draw_document(draw: st.DrawFn) -> Any:
        document: Any = json.loads(json.dumps(sound))
        for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
            place = draw(st.sampled_from(places))
            change = draw(st.sampled_from(["replace", "replace", "replace", "replace", "leave out", "double", "join"]))
            document = _changed(document, place, change=change, value=draw(values()))
        return document

    return draw_document()


def each_field_extreme(sound: Mapping[str, Any]) -> Iterator[Any]:
    """`sound` with each field, at any depth, made each extreme in turn: all of them, one at a time."""
    for place in _places(sound):
        for value in VALUES:
            yield _changed(json.loads(json.dumps(sound)), place, change="replace", value=value)


def written(document: Any) -> str:
    """A document as JSON text; `Raw` and `Twice` as they are meant."""
    match document:
        case Raw(text):
            return text
        case Twice(members, name, second):
            first = [f"{json.dumps(key)}:{written(value)}" for key, value in members.items()]
            return "{" + ",".join([*first, f"{json.dumps(name)}:{written(second)}"]) + "}"
        case dict():
            return "{" + ",".join(f"{json.dumps(key)}:{written(value)}" for key, value in document.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(written(value) for value in document) + "]"
        case _:
            return json.dumps(document)


def drawn(strategy: st.SearchStrategy[T], *, count: int = DRAWN_BY_DEFAULT) -> list[T]:
    """At most so many different values of a strategy, always the same ones unless the environment asks for others."""
    asked = os.environ.get("MODELYARD_EXTREMES")
    start = int(os.environ.get("MODELYARD_EXTREMES_SEED", random.randrange(2**32) if asked else SEED))
    if asked:
        count = int(asked)
        print(f"extremes: {count} from MODELYARD_EXTREMES_SEED={start}")
    found: dict[str, T] = {}

    @seed(start)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: T) -> None:
        found.setdefault(repr(value), value)

    collect()
    return list(found.values())


Place = tuple[str | int, ...]


def _places(document: Any, *, at: Place = ()) -> Iterator[Place]:
    members: Sequence[tuple[str | int, Any]] = ()
    if isinstance(document, Mapping):
        members = list(document.items())
    elif isinstance(document, list):
        members = list(enumerate(document))
    for name, value in members:
        yield (*at, name)
        yield from _places(value, at=(*at, name))


def _changed(document: Any, place: Place, *, change: str, value: Any) -> Any:
    if not place or not isinstance(document, dict | list):
        return value
    name, rest = place[0], place[1:]
    if isinstance(document, list):
        return [
            _changed(each, rest, change=change, value=value) if at == name else each for at, each in enumerate(document)
        ]
    key = str(name)
    if rest:
        return {**document, key: _changed(document.get(key), rest, change=change, value=value)}
    match change:
        case "leave out":
            return {each: content for each, content in document.items() if each != key}
        case "double":
            return Twice(document, key, value)
        case "join":
            return {**document, f"{key}_": value}
        case _:
            return {**document, key: value}
