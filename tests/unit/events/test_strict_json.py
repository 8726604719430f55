"""JSON of outsiders is bounded before it is parsed, and understood in one way only."""

import json
import time

import pytest
from modelyard_events.strict_json import NODES_MAX, JsonRefusedError, read_json


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"a": 1, "a": 2}', "'a' more than once"),
        (b'{"x": [{"a": 1, "b": 2, "a": 1}]}', "'a' more than once"),
        (b'{"a": 1, "\\u0061": 2}', "'a' more than once"),
        (b'{"a": NaN}', "NaN is nothing that JSON has"),
        (b"[-Infinity]", "-Infinity is nothing"),
        (b"[1e999]", "larger than a double"),
        (b"[" + b"9" * 5_000 + b"]", "digits"),
        (b'["\\ud800"]', "surrogate"),
        (b'{"\\uDFFF": 1}', "surrogate"),
        (b'["a\\u0000b"]', "NUL"),
        (b"\xff\xfe", "UTF-8"),
        (b"{'name': 'x'}", "double quotes"),
        (b'{"a": }', "line 1, column 7"),
        (b"", "line 1, column 1"),
        (b"[" * 100_000 + b"]" * 100_000, "values"),
        (b"[" * 65 + b"]" * 65, "deeper than 64"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "deeper than 64"),
    ],
)
def test_json_that_could_mean_two_things_or_cannot_be_kept_is_refused_with_the_reason(raw: bytes, said: str) -> None:
    with pytest.raises(JsonRefusedError) as refused:
        read_json(raw)

    assert said in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "document",
    [
        {"a": [1, 2.5, True, None, 'text, with [brackets] and "quotes" {}']},
        ["[" * 500, "," * NODES_MAX, "\\" * 77, '\\"' * 50],
        "\U0001f600 é e\u0301",
        [[[]]] * 100,
    ],
)
def test_json_is_read_as_it_was_written(document: object) -> None:
    for ascii_only in (True, False):
        assert read_json(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


@pytest.mark.parametrize(
    "raw",
    [
        b"{" + b",".join(b'"%x":0' % number for number in range(20_000)) + b',"z":0,"z":0}',
        b"[" + b"{}," * 1_300_000 + b"{}]",
        b'["' + b"\\u0000" * 600_000 + b'"]',
        b'["' + b'\\"' * 2_000_000,
        b"[" * 4_000_000,
        b'{"a":"' + b"[" * 4_000_000 + b'"}x',
        b"[" + b"9" * 4_000_000 + b"]",
    ],
    ids=["20,000 members and one twice", "objects", "NULs", "quotes", "open", "text", "digits"],
)
def test_the_worst_text_of_four_million_bytes_is_refused_in_a_fraction_of_a_second(raw: bytes) -> None:
    began = time.process_time()
    with pytest.raises(JsonRefusedError):
        read_json(raw)

    assert time.process_time() - began < 0.5
