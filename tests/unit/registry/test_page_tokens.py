"""Page tokens are opaque: what was given out comes back, and anything else is refused kindly."""

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_registry.api.paging import Page, PageRequest, decode_page_token, encode_page_token
from modelyard_registry.search.sorting import Sort, a_moment, decode_position
from modelyard_runtime.problems import InvalidRequestError
from pydantic import BaseModel


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.integers(0, 2**31 - 1), st.uuids()
)
def test_a_position_survives_its_token(text: str, number: int, identifier: UUID) -> None:
    token = encode_page_token([text, number, identifier])

    assert decode_page_token(token, shape=(str, int, UUID)) == [text, number, identifier]


def test_no_token_is_no_position() -> None:
    assert decode_page_token(None, shape=(str,)) is None


@pytest.mark.parametrize(
    "token",
    [
        "",
        "%%%",
        "x",
        "é",
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        encode_page_token([]),
        encode_page_token([1]),
        encode_page_token(["a", "b"]),
        base64.urlsafe_b64encode(b'{"a": 1}').decode(),
        base64.urlsafe_b64encode(b"null").decode(),
        encode_page_token(["a\0b"]),
        base64.urlsafe_b64encode(b'["\\ud800"]').decode(),
    ],
)
def test_a_token_of_someone_elses_making_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequestError, match="page_token"):
        decode_page_token(token, shape=(str,))


@pytest.mark.parametrize("number", [-1, 2**31, 2**63, 10**30, -(2**70)])
def test_a_number_that_no_version_has_is_no_position(number: int) -> None:
    with pytest.raises(InvalidRequestError, match="page_token"):
        decode_page_token(encode_page_token([number]), shape=(int,))


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00", "2026-03-03T12:00:00"])
def test_a_moment_that_no_database_holds_is_no_position(moment: str) -> None:
    sort = Sort(by="created_at", descending=False)
    token = encode_page_token([str(sort), moment])

    with pytest.raises(InvalidRequestError, match="page_token"):
        decode_position(token, sort, [a_moment("created_at")])


@given(st.text(max_size=200))
def test_no_text_makes_the_decoder_fail_otherwise(token: str) -> None:
    with pytest.raises(InvalidRequestError):
        decode_page_token(token, shape=(UUID,))


class Number(BaseModel):
    """One item."""

    number: int


class Numbers(Page[Number]):
    """Some numbers."""


def a_page(found: list[int], *, size: int) -> Numbers:
    wanted = PageRequest(size=size, token=None)
    return wanted.page(Numbers, found[: wanted.limit], of=lambda each: Number(number=each), key=lambda each: each)


def test_a_page_that_is_not_the_last_says_where_the_next_begins() -> None:
    page = a_page([1, 2, 3], size=2)

    assert [each.number for each in page.items] == [1, 2]
    assert PageRequest(size=2, token=page.next_page_token).after(int) == 2


@pytest.mark.parametrize("found", [[], [1], [1, 2]])
def test_the_last_page_leads_nowhere(found: list[int]) -> None:
    page = a_page(found, size=2)

    assert [each.number for each in page.items] == found
    assert page.next_page_token is None


def test_the_first_page_begins_after_nothing() -> None:
    assert PageRequest(size=2, token=None).after(str) is None


def test_a_key_that_is_zero_or_empty_is_a_key() -> None:
    assert PageRequest(size=2, token=encode_page_token([0])).after(int) == 0


def test_each_kind_of_page_has_its_own_name_in_documents() -> None:
    assert Numbers.model_json_schema()["title"] == "Numbers"
