"""Which bytes a request asks for, by its headers alone."""

import pytest
from modelyard_registry.artifacts.ranges import ByteRange, RangeNotSatisfiableError, decide_range, holds_tag

ETAG = '"sha256:aa"'
OTHER = '"sha256:bb"'


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=2-5", 2, 5),
        ("bytes=9-", 9, 9),
        ("bytes=0-", 0, 9),
        ("bytes=-3", 7, 9),
        ("bytes=-99", 0, 9),
        ("bytes=4-99999999999999999", 4, 9),
        ("Bytes = 4-5".replace(" ", ""), 4, 5),
        (" bytes=4-5 ", 4, 5),
    ],
)
def test_one_range_is_the_bytes_that_it_names(asked: str, first: int, last: int) -> None:
    assert decide_range(asked, if_range=None, etag=ETAG, size_bytes=10) == ByteRange(first=first, last=last)


@pytest.mark.parametrize(
    "asked",
    ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=", "bytes=١-٢", "bytes=+1-2"],
)
def test_a_range_that_names_no_bytes_is_refused(asked: str) -> None:
    with pytest.raises(RangeNotSatisfiableError) as refused:
        decide_range(asked, if_range=None, etag=ETAG, size_bytes=10)

    assert asked in refused.value.detail
    assert refused.value.extra["size_bytes"] == 10


@pytest.mark.parametrize("asked", [None, "bytes=0-1,4-5", "lines=0-1", "0-1"])
def test_the_whole_file_answers_what_is_not_one_range_of_bytes(asked: str | None) -> None:
    assert decide_range(asked, if_range=None, etag=ETAG, size_bytes=10) is None


@pytest.mark.parametrize(
    ("if_range", "is_whole"),
    [(ETAG, False), (None, False), (OTHER, True), (f"W/{ETAG}", True), ("Wed, 21 Oct 2015 07:28:00 GMT", True)],
)
def test_a_range_of_another_file_is_not_sent(if_range: str | None, is_whole: bool) -> None:
    assert (decide_range("bytes=0-1", if_range=if_range, etag=ETAG, size_bytes=10) is None) is is_whole


@pytest.mark.parametrize(
    ("if_none_match", "is_held"),
    [
        (ETAG, True),
        (f"W/{ETAG}", True),
        (f"{OTHER}, {ETAG}", True),
        ("*", True),
        (None, False),
        (OTHER, False),
        ("sha256:aa", False),
        ('"x"sha256:aa"', False),
    ],
)
def test_a_caller_has_what_its_entity_tags_name(if_none_match: str | None, is_held: bool) -> None:
    assert holds_tag(if_none_match, ETAG) is is_held
