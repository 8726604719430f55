"""Paths by their encoded form: names with slashes and percent signs are told apart."""

from itertools import combinations
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_runtime.http.encoded_paths import decode_path_from, normal_path

NAMES = ["a/b", "a%2Fb", "a%2fb", "a%252Fb", "50%", "a?b", "a#b", "Zoë", "a b", "a+b", "a|b"]


def scope_of(raw_path: str) -> dict[str, object]:
    return {"raw_path": raw_path.encode("ascii")}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_decoded_once(name: str) -> None:
    assert decode_path_from(scope_of(f"/files/{quote(name, safe='')}"), segment=2) == name


@given(st.text(st.characters(codec="utf-8")))
def test_every_name_comes_through_a_path(name: str) -> None:
    assert decode_path_from(scope_of(f"/x/files/{quote(name, safe='')}"), segment=3) == name


def test_slashes_that_are_not_encoded_belong_to_the_rest_of_the_path_too() -> None:
    assert decode_path_from(scope_of("/files/weights/a%2Fb"), segment=2) == "weights/a/b"


def test_no_two_names_have_one_normal_path() -> None:
    paths = [normal_path(scope_of(f"/grants/{quote(name, safe='')}")) for name in NAMES]

    assert not any(one == other for one, other in combinations(paths, 2))


@pytest.mark.parametrize(
    ("one", "other"), [("/a/sha256:00", "/a/sha256%3A00"), ("/%61", "/a"), ("/a%2fb", "/a%2Fb"), ("/a|b", "/a%7Cb")]
)
def test_two_spellings_of_one_path_are_one(one: str, other: str) -> None:
    assert normal_path(scope_of(one)) == normal_path(scope_of(other))
