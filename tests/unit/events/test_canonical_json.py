"""One spelling for each document: the examples of RFC 8785, and doubles against their own text."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.canonical_json import canonical_bytes


@pytest.mark.parametrize(
    ("number", "spelled"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (-5e-324, "-5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (1e21, "1e+21"),
        (999999999999999900000.0, "999999999999999900000"),
        (9.999999999999997e-7, "9.999999999999997e-7"),
        (0.000001, "0.000001"),
        (333333333.3333332, "333333333.3333332"),
        (-0.0000033333333333333333, "-0.0000033333333333333333"),
        (1.0, "1"),
        (4.50, "4.5"),
        (2e-3, "0.002"),
        (10**20, "100000000000000000000"),
    ],
)
def test_numbers_are_spelled_as_ecmascript_spells_them(number: float, spelled: str) -> None:
    assert canonical_bytes(number).decode() == spelled


def test_keys_are_sorted_by_their_utf_16_units_and_text_is_left_as_it_is() -> None:
    document = {"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew", "1": "One", "\U0001f600": "Smiley",
                "\u0080": "Control", "\u00f6": "o umlaut"}  # fmt: skip

    keys = list(json.loads(canonical_bytes(document)))

    assert keys == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert canonical_bytes({"a": ["\u000f\n", None, True]}) == b'{"a":["\\u000f\\n",null,true]}'


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_is_spelled_so_that_it_can_be_read_back(number: float) -> None:
    spelled = canonical_bytes(number)

    assert math.isclose(float(spelled), number, rel_tol=0, abs_tol=0)
    assert canonical_bytes(json.loads(spelled)) == spelled


def test_what_json_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError):
        canonical_bytes({"when": object()})


_WITHOUT_FRACTIONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(document=_WITHOUT_FRACTIONS)
def test_a_document_is_spelled_the_same_alone_as_beside_a_fraction(document: object) -> None:
    beside = canonical_bytes([document, 0.5])

    assert canonical_bytes(document) == beside.removeprefix(b"[").removesuffix(b",0.5]")
