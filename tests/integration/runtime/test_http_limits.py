"""Whoever sends no whole request, or a giant one, costs little and holds up nobody, with any token or none."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from modelyard_runtime.http.limits import HttpLimits
from prometheus_client import REGISTRY

from tests.serving import serving
from tests.world.waiting import until

LIMITS = HttpLimits(
    head_timeout_s=0.5, body_timeout_s=0.5, idle_timeout_s=0.5, answer_timeout_s=0.5, connections_max=20
)
GET = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n"
MIB = 1024 * 1024

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def an_app() -> FastAPI:
    app = FastAPI()

    @app.get("/hello")
    async def hello(request: Request) -> dict[str, Any]:
        return {"headers": [name for name, _ in request.headers.items()], "path": request.url.path}

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, Any]:
        return {"bytes": len(await request.body()), "headers": [name for name, _ in request.headers.items()]}

    @app.post("/refused")
    async def refused() -> dict[str, Any]:
        return {"read": False}

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(1.5)

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        return StreamingResponse(iter(lambda: b"x" * 65_536, b""))

    return app


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with serving(an_app(), limits=LIMITS) as url:
        yield int(url.rpartition(":")[2])


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers, json.loads(body)


async def asked(port: int, *pieces: bytes) -> tuple[int, dict[str, str], Any]:
    async with connected(port) as (reader, writer), asyncio.timeout(10):
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        return await answer_of(reader)


async def seconds_until_closed(reader: asyncio.StreamReader) -> float:
    began = time.monotonic()
    async with asyncio.timeout(10):
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
    return time.monotonic() - began


async def refused(reason: str) -> float:
    return REGISTRY.get_sample_value("runtime_http_connections_refused_total", {"reason": reason}) or 0.0


async def test_80_mb_in_one_header_cost_neither_memory_nor_time_and_others_are_answered_meanwhile(port: int) -> None:
    async with connected(port) as (_, writer):
        before = psutil.Process().memory_info().rss
        slowest = 0.0
        sent = 0
        writer.write(b"GET /hello HTTP/1.1\r\nhost: x\r\nx-large: ")
        try:
            while sent < 80 * MIB:
                writer.write(b"x" * MIB)
                sent += MIB
                await asyncio.wait_for(writer.drain(), 5)
                began = time.monotonic()
                assert (await asked(port, GET))[0] == 200
                slowest = max(slowest, time.monotonic() - began)
        except (ConnectionError, TimeoutError):
            pass

        assert sent < 20 * MIB  # What the operating system's buffers swallow; the server has closed long before.
        assert psutil.Process().memory_info().rss - before < 20 * MIB
        assert slowest < 0.5


@pytest.mark.parametrize(
    ("head", "status", "word"),
    [
        (b"x-large: " + b"x" * 70_000 + b"\r\n", 431, "bytes"),
        (b"".join(b"x-%d: 1\r\n" % number for number in range(101)), 431, "100 headers"),
        (b"".join(b"x-%d: %s\r\n" % (number, b"v" * 1_000) for number in range(90)), 431, "bytes"),
    ],
)
async def test_too_much_before_the_body_is_refused_with_words(port: int, head: bytes, status: int, word: str) -> None:
    answered, headers, problem = await asked(port, b"GET /hello HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n")

    assert (answered, headers["content-type"]) == (status, "application/problem+json")
    assert word in problem["detail"]
    assert headers["x-request-id"]


async def test_an_address_that_is_too_long_is_refused_with_words(port: int) -> None:
    status, _, problem = await asked(port, b"GET /hello?" + b"x" * 20_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n")

    assert status == 414
    assert "16384" in problem["detail"]


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00\x01\x00", b"HELLO\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n"])
async def test_what_is_no_http_is_refused_with_words(port: int, garbage: bytes) -> None:
    status, headers, problem = await asked(port, garbage)

    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert "HTTP/1.1" in problem["detail"]


async def test_just_as_much_as_is_allowed_is_taken(port: int) -> None:
    head = b"".join(b"x-%d: %s\r\n" % (number, b"v" * 600) for number in range(99))

    status, _, body = await asked(port, b"GET /hello HTTP/1.1\r\nhost: x\r\n" + head[:30_000], head[30_000:] + b"\r\n")

    assert status == 200
    assert len(body["headers"]) >= 100


async def test_a_head_that_does_not_end_is_closed_in_time(port: int) -> None:
    async with connected(port) as (reader, writer), asyncio.timeout(5):
        writer.write(b"GET /hello HTTP/1.1\r\n")
        for number in range(3):
            await asyncio.sleep(0.1)
            writer.write(b"x-%d: slowly\r\n" % number)
        status, _, problem = await answer_of(reader)

    assert status == 408
    assert "0.5 s" in problem["detail"]


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"G"])
async def test_a_connection_that_sends_next_to_nothing_is_closed_in_time(port: int, sent: bytes) -> None:
    async with connected(port) as (reader, writer):
        writer.write(sent)
        assert await seconds_until_closed(reader) < 2.5


async def test_an_idle_connection_is_closed_after_its_time(port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(GET)
        assert (await answer_of(reader))[0] == 200
        assert 0.3 < await seconds_until_closed(reader) < 3


async def test_a_body_that_stands_still_is_answered_408_and_closed(port: int) -> None:
    async with connected(port) as (reader, writer), asyncio.timeout(5):
        writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
        status, _, problem = await answer_of(reader)
        await seconds_until_closed(reader)

    assert status == 408
    assert "stood still" in problem["detail"]


async def test_a_body_that_drips_is_not_waited_for(port: int) -> None:
    async with connected(port) as (reader, writer), asyncio.timeout(5):
        writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n")
        began = time.monotonic()
        answer = asyncio.create_task(answer_of(reader))
        while not answer.done():
            writer.write(b"x")
            await asyncio.sleep(0.2)

    assert answer.result()[0] == 408
    assert time.monotonic() - began < 4


async def test_a_body_that_comes_steadily_may_take_longer_than_any_timeout(port: int) -> None:
    async with connected(port) as (reader, writer), asyncio.timeout(10):
        writer.write(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 12000\r\n\r\n")
        for _ in range(12):
            await asyncio.sleep(0.1)
            writer.write(b"x" * 1_000)
        status, _, body = await answer_of(reader)

    assert (status, body["bytes"]) == (200, 12_000)


async def test_a_body_after_its_answer_is_not_waited_for_long(port: int) -> None:
    async with connected(port) as (reader, writer), asyncio.timeout(8):
        writer.write(b"POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n")
        assert (await answer_of(reader))[0] == 200
        closed = asyncio.create_task(seconds_until_closed(reader))
        while not closed.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)

    assert closed.result() < 3


async def test_a_connection_goes_on_after_a_body_that_came_late_and_is_idle_then(port: int) -> None:
    async with connected(port) as (reader, writer), asyncio.timeout(8):
        writer.write(b"POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nha")
        assert (await answer_of(reader))[0] == 200
        writer.write(b"lf")
        await asyncio.sleep(0.05)
        writer.write(GET)
        assert (await answer_of(reader))[0] == 200
        writer.write(b"POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nha")
        assert (await answer_of(reader))[0] == 200
        writer.write(b"lf")
        assert await seconds_until_closed(reader) < 3


async def test_a_request_that_is_worked_on_is_not_cut_off_by_any_timer(port: int) -> None:
    status, _, _ = await asked(port, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")

    assert status == 200


async def test_an_answer_that_nobody_reads_is_given_up(port: int) -> None:
    before = await refused("answer_not_read")
    async with connected(port) as (_, writer):
        writer.write(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(lambda: refused("answer_not_read"), lambda count: count == before + 1, timeout_s=8)


async def test_whoever_only_opens_connections_keeps_nobody_out() -> None:
    limits = HttpLimits(connections_max=20, head_timeout_s=30)
    async with serving(an_app(), limits=limits) as url:
        port = int(url.rpartition(":")[2])
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(15)]
        for _ in range(15):
            idle.append(await asyncio.open_connection("127.0.0.1", port))
            idle[-1][1].write(b"GET /hello HTTP/1.1\r\n")
        answers = [await asked(port, GET) for _ in range(30)]
        for _, writer in idle:
            writer.transport.abort()

    assert {status for status, _, _ in answers} == {200}


async def test_a_connection_more_than_can_be_held_is_told_so() -> None:
    async with serving(an_app(), limits=HttpLimits(connections_max=2)) as url:
        port = int(url.rpartition(":")[2])
        busy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in busy:
            writer.write(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(0.2)

        status, headers, problem = await asked(port, GET)
        finished = [(await answer_of(reader))[0] for reader, _ in busy]
        for _, writer in busy:
            writer.transport.abort()

    assert (status, headers["retry-after"]) == (503, "1")
    assert "busy" in problem["detail"]
    assert finished == [200, 200]


CHUNKED = b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n"


async def test_a_trailer_is_a_header_of_no_request(port: int) -> None:
    async with connected(port) as (reader, writer), asyncio.timeout(5):
        writer.write(CHUNKED + b"authorization: Bearer stolen\r\nx-late: 1\r\n\r\n" + GET)
        _, _, with_trailer = await answer_of(reader)
        _, _, after_it = await answer_of(reader)

    assert with_trailer["headers"] == ["host", "transfer-encoding"]
    assert after_it["headers"] == ["host"]


@pytest.mark.parametrize("flood", [b"x-late: " + b"x" * 200_000, b"authorization: 1\r\n" * 20_000])
async def test_trailers_without_end_are_not_read(port: int, flood: bytes) -> None:
    status, _, _ = await asked(port, CHUNKED, *(flood[at : at + 50_000] for at in range(0, len(flood), 50_000)))

    assert status in (431, 408)


async def test_an_encoded_slash_is_no_slash(port: int) -> None:
    status, _, _ = await asked(port, b"GET /%2fhello HTTP/1.1\r\nhost: x\r\n\r\n")
    plain, _, _ = await asked(port, b"GET /hell%6f HTTP/1.1\r\nhost: x\r\n\r\n")

    assert (status, plain) == (404, 200)


@pytest.mark.parametrize("pause_after", [0, 60, 130])
async def test_an_upgrade_is_not_taken_and_its_request_is_answered_whole(port: int, pause_after: int) -> None:
    wish = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
    request = b"POST /echo HTTP/1.1\r\nhost: x\r\n" + wish + b"content-length: 4\r\n\r\nbody"

    status, headers, body = await asked(port, request[:pause_after], request[pause_after:])

    assert (status, headers["connection"], body["bytes"]) == (200, "close", 4)
    assert (await asked(port, b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n"))[0] == 400
