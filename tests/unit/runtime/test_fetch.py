"""A URL that somebody gave us leads only where it may, within a deadline, and not too far."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from modelyard_runtime.fetch import (
    Fetcher,
    FetchFailedError,
    FetchRefusedError,
    FetchTimeoutError,
    FetchTooLargeError,
)

LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture
async def server() -> AsyncIterator[BaseTestServer]:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), headers={"x-method": request.method})

    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound("http://169.254.169.254/latest/meta-data")

    app = web.Application()
    app.router.add_route("*", "/echo", echo)
    app.router.add_get("/slow", slow)
    app.router.add_get("/away", away)
    async with TestServer(app) as running:
        yield running


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher(allow=LOOPBACK) as opened:
        yield opened


async def test_an_allowed_address_is_asked(server: BaseTestServer, fetcher: Fetcher) -> None:
    answer = await fetcher.fetch("POST", str(server.make_url("/echo")), body=b"hello", timeout_s=5)

    assert (answer.status, answer.body, answer.headers["x-method"]) == (200, b"hello", "POST")


async def test_a_redirect_is_an_answer_and_never_followed(server: BaseTestServer, fetcher: Fetcher) -> None:
    answer = await fetcher.fetch("GET", str(server.make_url("/away")), timeout_s=5)

    assert answer.status == 302


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "http://user:secret@example.org/",
        "http://",
        "not a url",
    ],
)
async def test_a_url_that_leads_inside_is_refused(url: str) -> None:
    async with Fetcher() as fetcher:
        with pytest.raises(FetchRefusedError):
            await fetcher.fetch("GET", url, timeout_s=5)


async def test_a_slow_answer_ends_at_the_deadline(server: BaseTestServer, fetcher: Fetcher) -> None:
    with pytest.raises(FetchTimeoutError, match=r"0\.1 s"):
        await fetcher.fetch("GET", str(server.make_url("/slow")), timeout_s=0.1)


async def test_an_answer_that_is_too_large_is_not_read(server: BaseTestServer, fetcher: Fetcher) -> None:
    with pytest.raises(FetchTooLargeError):
        await fetcher.fetch("POST", str(server.make_url("/echo")), body=b"x" * 2_000, timeout_s=5, bytes_max=1_000)


async def test_nobody_at_home_may_pass(fetcher: Fetcher) -> None:
    with pytest.raises(FetchFailedError):
        await fetcher.fetch("GET", "http://127.0.0.1:1/", timeout_s=5)
