"""What the headers of a request may say, before anybody's token is judged."""

from collections.abc import MutableMapping
from typing import Any, cast

import orjson
import pytest
from modelyard_router.http import HotPath


async def answer_of(headers: list[tuple[bytes, bytes]]) -> tuple[int, Any]:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    unused = cast(Any, None)
    hot_path = HotPath(
        unused,
        operations={"/v1/route": lambda body, caller: b"{}"},
        authentication=unused,
        refusals=unused,
        state=unused,
        body_bytes_max=1_000,
    )
    await hot_path({"type": "http", "method": "POST", "path": "/v1/route", "headers": headers}, unused, send)
    return sent[0]["status"], orjson.loads(sent[1]["body"])


@pytest.mark.parametrize("length", [b"abc", b"-1", "٣".encode(), b"1_0", b"+5", b"", b" 5"])
async def test_a_length_that_is_no_number_is_the_callers_mistake(length: bytes) -> None:
    status, problem = await answer_of([(b"content-length", length)])

    assert status == 400
    assert repr(length.decode("latin-1")) in problem["detail"]


@pytest.mark.parametrize("length", [b"1001", b"9" * 5_000])
async def test_a_length_beyond_the_limit_is_refused_before_anything_is_read(length: bytes) -> None:
    assert (await answer_of([(b"content-length", length)]))[0] == 413


async def test_two_proofs_are_not_chosen_among() -> None:
    status, problem = await answer_of([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")])

    assert (status, problem["fix"]) == (401, "Send one Authorization header.")
