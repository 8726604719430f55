"""What the server answers at once it answers as the application would; everything else goes to the application."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from modelyard_runtime.http.at_once import Answer, Headers
from modelyard_runtime.http.limits import HttpLimits
from starlette.types import Receive, Scope, Send

from tests.serving import serving

LIMITS = HttpLimits(head_timeout_s=0.5, body_timeout_s=0.5, idle_timeout_s=0.5, connections_max=20)
HEAD = b"POST /quick HTTP/1.1\r\nhost: x\r\n"
WHOLE = HEAD + b"content-length: 4\r\n\r\nbody"


class AnApp:
    """Answers whether it was asked at once, and what it was sent; `/quick` may be answered at once, unless it waits."""

    def may_answer_at_once(self, target: bytes) -> bool:
        return target == b"/quick"

    def answer_at_once(self, target: bytes, headers: Headers, body: bytes) -> Answer | None:
        if body == b"wait":
            return None
        return Answer(200, [(b"content-type", b"application/json")], told(at_once=True, headers=headers, body=body))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answer = told(at_once=False, headers=scope["headers"], body=body)
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": answer})


def told(*, at_once: bool, headers: Headers, body: bytes) -> bytes:
    names = [name.decode() for name, _ in headers]
    return json.dumps({"at_once": at_once, "headers": names, "body": body.decode()}).encode()


@pytest.fixture
async def peer() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with serving(AnApp(), limits=LIMITS) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        try:
            async with asyncio.timeout(10):
                yield reader, writer
        finally:
            writer.transport.abort()


Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), headers, json.loads(await reader.readexactly(int(headers["content-length"])))


async def test_a_request_that_came_whole_is_answered_at_once(peer: Peer) -> None:
    reader, writer = peer
    for _ in range(3):
        writer.write(WHOLE)
        status, headers, answer = await answer_of(reader)

        assert status == 200
        assert headers.keys() == {"date", "content-type", "content-length"}
        assert answer == {"at_once": True, "headers": ["host", "content-length"], "body": "body"}


async def test_a_chunked_body_is_put_together_and_its_trailer_is_no_header(peer: Peer) -> None:
    reader, writer = peer
    writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\nauthorization: x\r\n\r\n")

    _, _, answer = await answer_of(reader)

    assert answer == {"at_once": True, "headers": ["host", "transfer-encoding"], "body": "body"}


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"content-length: 4\r\n\r\nwait",
        HEAD.replace(b"POST", b"GET") + b"\r\n",
        HEAD.replace(b"/quick", b"/quick?a=1") + b"\r\n",
        HEAD.replace(b"/quick", b"/quic%6b") + b"\r\n",
        HEAD.replace(b"/1.1", b"/1.0") + b"content-length: 4\r\n\r\nbody",
        HEAD + b"connection: close\r\ncontent-length: 4\r\n\r\nbody",
    ],
)
async def test_everything_else_is_the_applications(peer: Peer, request_: bytes) -> None:
    reader, writer = peer
    writer.write(request_)

    _, _, answer = await answer_of(reader)

    assert answer["at_once"] is False
    assert answer["body"] == request_.partition(b"\r\n\r\n")[2].decode()


async def test_whoever_asks_before_it_sends_the_body_is_told_to_go_on(peer: Peer) -> None:
    reader, writer = peer
    writer.write(HEAD + b"expect: 100-continue\r\ncontent-length: 4\r\n\r\n")
    assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"body")

    assert (await answer_of(reader))[2]["body"] == "body"


@pytest.mark.parametrize("cut", [20, len(HEAD), len(WHOLE) - 4, len(WHOLE) - 2])
async def test_a_request_in_two_pieces_is_answered_whole(peer: Peer, cut: int) -> None:
    reader, writer = peer
    for _ in range(2):
        writer.write(WHOLE[:cut])
        await asyncio.sleep(0.05)
        writer.write(WHOLE[cut:])

        _, _, answer = await answer_of(reader)

        assert (answer["body"], answer["headers"]) == ("body", ["host", "content-length"])


async def test_of_many_requests_in_one_piece_only_the_first_goes_before_others(peer: Peer) -> None:
    reader, writer = peer
    bodies = [b"%04d" % number for number in range(50)]
    writer.write(b"".join(HEAD + b"content-length: 4\r\n\r\n" + body for body in bodies))

    answers = [(await answer_of(reader))[2] for _ in bodies]

    assert [answer["body"] for answer in answers] == [body.decode() for body in bodies]
    assert [answer["at_once"] for answer in answers] == [True, *[False] * 49]


async def test_what_is_no_request_after_one_that_was_answered_is_refused(peer: Peer) -> None:
    reader, writer = peer
    writer.write(WHOLE + b"no request at all\r\n\r\n")

    assert (await answer_of(reader))[0] == 200
    assert (await answer_of(reader))[0] == 400
    assert await reader.read() == b""


async def test_a_connection_that_was_answered_at_once_is_closed_when_it_is_idle(peer: Peer) -> None:
    reader, writer = peer
    for _ in range(4):
        writer.write(WHOLE)
        await answer_of(reader)
        await asyncio.sleep(0.3)
    began = time.monotonic()

    assert await reader.read() == b""
    assert time.monotonic() - began < 2


async def test_a_body_that_stands_still_is_not_waited_for(peer: Peer) -> None:
    reader, writer = peer
    writer.write(WHOLE)
    await answer_of(reader)
    writer.write(WHOLE[:-2])

    status, _, problem = await answer_of(reader)

    assert (status, problem["status"]) == (408, 408)
