"""Statements whose parameters and columns go by name, whatever their order."""

import itertools
import re
from typing import NamedTuple

import pytest
from modelyard_registry.transactions.statements import Columns, Statement


class Point(NamedTuple):
    """A row."""

    name: str
    x: int
    notes: str


READERS = {
    "name": ("text", lambda point: point.name),
    "x": ("bigint", lambda point: point.x),
    "notes": ("jsonb", lambda point: point.notes),
}
POINTS = (Point("a", 1, "{}"), Point("b", 2, "[]"))


def test_a_column_has_its_own_type_and_values_in_every_order() -> None:
    for names in itertools.permutations(READERS):
        statement = Statement(
            "SELECT x FROM {points}", points=Columns[Point](**{name: READERS[name] for name in names})
        )

        text, *arrays = statement.bind(points=POINTS)

        found = re.fullmatch(r"SELECT x FROM unnest\((.*)\) WITH ORDINALITY AS points \((.*), nth\)", text)
        assert found is not None
        assert found[2].split(", ") == list(names)
        types = [re.sub(r"^\$\d+::", "", each) for each in found[1].split(", ")]
        assert dict(zip(names, types, strict=True)) == {"name": "text[]", "x": "bigint[]", "notes": "text[]"}
        assert dict(zip(names, arrays, strict=True)) == {"name": ["a", "b"], "x": [1, 2], "notes": ["{}", "[]"]}


def test_parameters_are_numbered_across_rows_and_values() -> None:
    columns = Columns[Point](x=READERS["x"], name=READERS["name"])
    statement = Statement("{now} {first} {second} {now}", first=columns, now="timestamptz", second=columns)

    assert statement.text == (
        "$3::timestamptz unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS first (x, name, nth)"
        " unnest($4::bigint[], $5::text[]) WITH ORDINALITY AS second (x, name, nth) $3::timestamptz"
    )
    assert statement.bind(second=[], now=7, first=POINTS)[1:] == ([1, 2], ["a", "b"], 7, [], [])


def test_the_text_is_the_same_object_at_every_call() -> None:
    statement = Statement("{now}", now="timestamptz")

    assert statement.bind(now=1)[0] is statement.bind(now=2)[0]


def test_json_and_arrays_come_as_texts_that_the_server_casts() -> None:
    columns = Columns[Point](name=READERS["name"], notes=READERS["notes"], semver=("integer[]", lambda _: "{1,2,3}"))

    assert columns.values == "name, notes::jsonb, semver::integer[]"


@pytest.mark.parametrize("values", [{}, {"now": 1, "then": 2}, {"then": 2}])
def test_a_value_that_is_missing_or_unknown_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(TypeError, match=r"parameters are \['now'\]"):
        Statement("{now}", now="timestamptz").bind(**values)
