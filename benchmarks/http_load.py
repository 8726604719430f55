"""A load generator that costs little: keep-alive connections that send bytes which were made before.

It runs beside the server that it measures, on the same machine: what it does not spend, the server has.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any, cast
from urllib.parse import urlsplit

from benchmarks.report import quantile

ANSWER_TIMEOUT_S = 30.0
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


class AnswerError(Exception):
    """The server did not answer as it should; what it measured says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a server did under load: how many answers in which time, and how long each took."""

    latencies_ms: list[float]
    seconds: float

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return len(self.latencies_ms) / self.seconds

    def quantile_ms(self, share: float) -> float:
        """The milliseconds that this share of the answers did not exceed."""
        return quantile(self.latencies_ms, share)


def joined(loads: list[Load]) -> Load:
    """Several rounds as one."""
    return Load(
        latencies_ms=[latency for load in loads for latency in load.latencies_ms],
        seconds=sum(load.seconds for load in loads),
    )


def request_bytes(
    method: str, url: str, *, document: object | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """An HTTP/1.1 request as it goes over the wire."""
    parts = urlsplit(url)
    body = b"" if document is None else json.dumps(document, separators=(",", ":")).encode()
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"{method} {target} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {len(body)}"]
    if body:
        lines.append("content-type: application/json")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def put_load(url: str, requests: Sequence[Iterator[bytes]], *, duration_s: float) -> Load:
    """Send each iterator's requests over a connection of its own, one after the other, for `duration_s`.

    Raises AnswerError for an answer that is not 2xx.
    """
    connections = [await connect(url) for _ in requests]
    # Not the loop's clock: uvloop's counts whole milliseconds.
    started_at = time.perf_counter()
    try:
        latencies = await asyncio.gather(
            *(
                connection.repeat(sending, until=started_at + duration_s)
                for connection, sending in zip(connections, requests, strict=True)
            )
        )
        return Load(
            latencies_ms=[each for some in latencies for each in some], seconds=time.perf_counter() - started_at
        )
    finally:
        for connection in connections:
            connection.close()


def the_same(request: bytes, *, connections: int) -> list[Iterator[bytes]]:
    """The same request again and again on each of the connections."""
    return [repeat(request) for _ in range(connections)]


async def connect(url: str) -> "Connection":
    """A keep-alive connection to the server of `url`."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
    return connection


class Connection(asyncio.Protocol):
    """One keep-alive connection: one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._on_answer: Callable[[bytes], None] | None = None
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._fail(AnswerError(f"the server closed the connection: {exc!r}"))

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(HEAD_END)
        if end < 0:
            return
        length = _content_length(self._buffer[:end])
        if length is None:
            self._fail(AnswerError(f"an answer without content-length: {self._buffer[:200]!r}"))
            return
        body_at = end + len(HEAD_END)
        if len(self._buffer) < body_at + length:
            return
        answer, self._buffer = self._buffer, b""
        if not answer.startswith(b"HTTP/1.1 2"):
            self._fail(AnswerError(answer[:500].decode(errors="replace")))
        elif self._on_answer is not None:
            self._on_answer(answer[body_at:])

    async def ask(self, request: bytes) -> bytes:
        """Send one request; the body of its answer. Raises AnswerError."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[bytes] = loop.create_future()
        with self._answering(lambda body: None if answered.done() else answered.set_result(body)):
            self._send(request)
            await self._wait_for(answered, timeout_s=ANSWER_TIMEOUT_S)
        return answered.result()

    async def repeat(self, requests: Iterator[bytes], *, until: float) -> list[float]:
        """Send requests one after the other until that time of the performance counter; the latency of each in ms."""
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        latencies: list[float] = []
        sent_at = time.perf_counter()

        def on_answer(_: bytes) -> None:
            nonlocal sent_at
            now = time.perf_counter()
            latencies.append((now - sent_at) * 1_000)
            if now >= until:
                finished.set_result(None)
                return
            sent_at = now
            self._send(next(requests))

        with self._answering(on_answer):
            self._send(next(requests))
            await self._wait_for(finished, timeout_s=until - time.perf_counter() + ANSWER_TIMEOUT_S)
        return latencies

    async def _wait_for(self, done: "asyncio.Future[Any]", *, timeout_s: float) -> None:
        waiting: list[asyncio.Future[Any]] = [done, self._failed]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=timeout_s)
        if self._failed.done():
            self._failed.result()
        if not done.done():
            raise AnswerError(f"no answer within {timeout_s:.0f} s")

    def close(self) -> None:
        """Close the connection."""
        self._fail(AnswerError("closed"))
        if self._transport is not None:
            self._transport.close()

    @contextmanager
    def _answering(self, on_answer: Callable[[bytes], None]) -> Iterator[None]:
        self._on_answer = on_answer
        try:
            yield
        finally:
            self._on_answer = None

    def _send(self, request: bytes) -> None:
        if self._transport is None or self._failed.done():
            raise AnswerError("not connected")
        self._transport.write(request)

    def _fail(self, error: AnswerError) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)
            # Whoever waits raises it; when nobody does, nobody is to be warned either.
            self._failed.exception()


def _content_length(head: bytes) -> int | None:
    lowered = head.lower()
    at = lowered.find(LENGTH)
    if at < 0:
        return None
    return int(lowered[at + len(LENGTH) :].split(b"\r\n", 1)[0])
