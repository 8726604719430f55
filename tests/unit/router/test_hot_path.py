"""What the headers of a request may say, before anybody's token is judged; at once and by ASGI alike."""

from collections.abc import MutableMapping
from typing import Any, cast

import orjson
import pytest
from modelyard_router.http import HotPath
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.access.principals import Principal, lacking
from modelyard_runtime.http.access_log import AccessLog
from modelyard_runtime.http.at_once import Headers
from structlog.testing import capture_logs

TOKEN = b"Bearer good"
ADA = Principal(actor="ada")
UNUSED = cast(Any, None)
NAMED = (b"x-request-id", b"mine")


class Tokens:
    def find(self, token: str) -> Principal | None:
        return ADA if token == "good" else None


class State:
    age_s = 0.25


class Refusals:
    def __init__(self) -> None:
        self.noted: list[dict[str, Any]] = []

    def note(self, problem: Exception, **about: Any) -> None:
        self.noted.append(about)


def operation(body: bytes, caller: Principal) -> bytes:
    if body == b"forbidden":
        raise lacking(caller, Permission.PREDICTIONS_MAKE, where="any project")
    if body == b"bug":
        raise RuntimeError("a bug")
    return b'{"bytes":%d}' % len(body)


def a_hot_path(refusals: Refusals) -> HotPath:
    return HotPath(
        UNUSED,
        operations={"/v1/route": operation},
        at_once=frozenset({"/v1/route"}),
        authentication=cast(Any, Tokens()),
        refusals=cast(Any, refusals),
        state=cast(Any, State()),
        body_bytes_max=1_000,
        new_id=lambda: "made-up",
        access_log=AccessLog(enabled=True, sample=1.0, seconds=lambda: 1.0),
    )


async def answer_of(
    headers: Headers, body: bytes = b"", *, refusals: Refusals = UNUSED, method: str = "POST"
) -> tuple[int, dict[bytes, bytes], Any]:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": "/v1/route", "headers": headers}
    await a_hot_path(refusals)(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), orjson.loads(sent[1]["body"])


@pytest.mark.parametrize("length", [b"abc", b"-1", "٣".encode(), b"1_0", b"+5", b"", b" 5"])
async def test_a_length_that_is_no_number_is_refused_as_a_malformed_body(length: bytes) -> None:
    status, _, problem = await answer_of([(b"content-length", length)])

    assert status == 400
    assert repr(length.decode("latin-1")) in problem["detail"]


@pytest.mark.parametrize("length", [b"1001", b"9" * 5_000])
async def test_a_length_beyond_the_limit_is_refused_before_anything_is_read(length: bytes) -> None:
    assert (await answer_of([(b"content-length", length)]))[0] == 413


async def test_a_request_with_two_tokens_is_refused() -> None:
    status, _, problem = await answer_of([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")])

    assert (status, problem["fix"]) == (401, "Send one Authorization header.")


async def test_another_method_leaves_its_line_in_the_log_too() -> None:
    with capture_logs() as lines:
        status, headers, _ = await answer_of([NAMED], method="PUT")

    assert (status, headers[b"allow"], headers[b"x-request-id"]) == (405, b"POST", b"mine")
    assert [(line["method"], line["status"], line["actor"]) for line in lines] == [("PUT", 405, None)]


KNOWN = [NAMED, (b"authorization", TOKEN)]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (KNOWN, b"abc", 200),
        (KNOWN, b"forbidden", 403),
        (KNOWN, b"bug", 500),
        (KNOWN, b"x" * 1_001, 413),
        ([*KNOWN, (b"content-length", b"9999")], b"", 413),
        ([*KNOWN, (b"content-length", b"x")], b"", 400),
        ([*KNOWN, (b"content-encoding", b"gzip")], b"", 415),
        ([*KNOWN, (b"authorization", TOKEN)], b"", 401),
    ],
)
async def test_an_answer_at_once_is_the_answer_of_the_application(headers: Headers, body: bytes, status: int) -> None:
    noted, noted_at_once = Refusals(), Refusals()
    with capture_logs() as lines:
        by_asgi = await answer_of(headers, body, refusals=noted)
    with capture_logs() as lines_at_once:
        at_once = a_hot_path(noted_at_once).answer_at_once(b"/v1/route", headers, body)

    assert at_once is not None
    assert (at_once.status, orjson.loads(at_once.body)) == (status, by_asgi[2])
    assert {**dict(at_once.headers), b"content-length": b"%d" % len(at_once.body)} == by_asgi[1]
    assert noted_at_once.noted == noted.noted
    assert [about["request_id"] for about in noted.noted] == ["mine"] * (status == 403)
    assert [line["event"] for line in lines_at_once] == [line["event"] for line in lines]
    assert (lines_at_once[-1]["status"], lines_at_once[-1]["path"]) == (status, "/v1/route")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Bearer never-seen")],
        [(b"authorization", TOKEN), (b"x-request-id", b"two words")],
        [(b"authorization", TOKEN), NAMED, NAMED],
    ],
)
def test_whoever_is_not_known_yet_and_badly_named_requests_are_left_to_the_application(headers: Headers) -> None:
    with capture_logs() as lines:
        assert a_hot_path(Refusals()).answer_at_once(b"/v1/route", headers, b"{}") is None

    assert lines == []


def test_only_the_exact_address_is_answered_at_once() -> None:
    hot_path = a_hot_path(Refusals())

    assert hot_path.may_answer_at_once(b"/v1/route")
    assert not any(map(hot_path.may_answer_at_once, [b"/v1/route?a=1", b"/v1/predict", b"/v1/route/", b"/"]))
