"""One HTTP/1.1 connection, held to limits that uvicorn itself does not have.

A usual request comes whole in one piece and passes by every timer here. Timers run only while something is missing:
the rest of the headers, the rest of a body, a reader of the answer.
"""

import asyncio
import re
from typing import Any
from urllib.parse import unquote

import httptools
import orjson
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from modelyard_runtime.http.at_once_protocol import AtOnceProtocol
from modelyard_runtime.http.connections import Connections
from modelyard_runtime.http.limits import (
    BODY_BYTES_PER_S_MIN,
    LINGER_BYTES_MAX,
    LINGER_S,
    REQUEST_LINE_BYTES_MAX,
    HttpLimits,
    ServerRefusal,
    body_too_slow,
    head_too_slow,
    headers_too_large,
    headers_too_many,
    malformed,
    request_line_too_long,
    too_many_connections,
    trailers_too_large,
)
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.metrics import HTTP_REFUSED
from modelyard_runtime.problems import MEDIA_TYPE

ENCODED_SLASH = "%2F"
"""How a path holds a slash that is part of a name; everything else in a path is decoded."""

_ENCODED_SLASH = re.compile(ENCODED_SLASH, re.IGNORECASE)


class _RefusedError(Exception):
    """Ends the parsing of a request. Only the parser sees it."""


class LimitedProtocol(AtOnceProtocol):
    """One connection. Trailers of a chunked body are never headers, and `%2F` in a path is never a `/`."""

    def __init__(self, *args: Any, limits: HttpLimits, connections: Connections, **more: Any) -> None:
        super().__init__(*args, **more)
        self._limits = limits
        self._head_bytes_max, self._headers_max = limits.head_bytes_max, limits.headers_max
        self._connections = connections
        self._refusal: ServerRefusal | None = None
        self._has_refused = False
        self._lingered_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        # Where the parser is. A head began when its first byte came.
        self._has_begun = self._is_known = self._in_head = self._in_body = False
        self._head_began = self._body_went_on = False
        self._method, self._wants_upgrade = b"", False
        self._piece_bytes = self._pending_bytes = self._body_bytes = 0
        self._body_began_s = self._body_last_s = 0.0

    # Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self._connections.admit(self):
            self._refuse(too_many_connections())
            return
        self._start_timer(self._limits.head_timeout_s, self._on_head_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._write_timer is not None:
            self._write_timer.cancel()
        self.stop_idle_timer()
        self._connections.forget(self)
        super().connection_lost(exc)

    def waits(self) -> tuple[bool, float] | None:
        """Whether headers ever came, and until when the peer is waited for; None while it waits for us."""
        until_s = self._idle_until_s if self._timer is None else self._timer.when()
        return None if until_s is None else (self._is_known, until_s)

    def make_room(self) -> None:
        """Close the connection now: another one needs its place, and its own peer keeps it waiting."""
        if self._in_head or self._in_body:
            self._refuse(too_many_connections())
        else:
            HTTP_REFUSED.labels("idle_made_room").inc()
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._has_refused or self.transport.is_closing():
            self._linger(len(data))
            return
        self._idle_until_s = None
        self._head_began = self._body_went_on = self._has_answered = False
        self._piece_bytes = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._could_read_again(data[upgrade.args[0] :]):
                return
        except httptools.HttpParserError:
            self._refuse(self._refusal or malformed())
            return
        if self._in_head:
            self._judge_head(len(data))
        elif self._in_body:
            if self._is_put_off:
                self.start_after_all()
            self._judge_body(len(data))
        else:
            self._on_nothing_missing()

    def _could_read_again(self, rest: bytes) -> bool:
        """Read a request that wishes an upgrade without its wish. Anybody may stay with HTTP/1.1 (RFC 9110)."""
        # For the parser nothing after these headers is HTTP. The connection ends with the answer.
        self._wants_upgrade = False
        self.parser = httptools.HttpRequestParser(self)
        try:
            self.parser.feed_data(self._head_without_upgrade() + rest)
        except httptools.HttpParserError:
            self._refuse(self._refusal or malformed())
            return False
        return True

    def _head_without_upgrade(self) -> bytes:
        kept = [(name, value) for name, value in self.headers if name not in (b"connection", b"upgrade")]
        lines = [b"%s: %s" % header for header in (*kept, (b"connection", b"close"))]
        return b"\r\n".join([self._method + b" " + self.url + b" HTTP/1.1", *lines, b"", b""])

    def _judge_head(self, size: int) -> None:
        # Of the piece in which a head began, the beginning may be of the request before.
        self._pending_bytes = 0 if self._head_began else self._pending_bytes + size
        if self._pending_bytes > self._limits.head_bytes_max:
            self._refuse(headers_too_large(self._limits))
        elif self._timer is None:
            self._start_timer(self._limits.head_timeout_s, self._on_head_late)

    def _judge_body(self, size: int) -> None:
        self._pending_bytes = 0 if self._body_went_on else self._pending_bytes + size
        if self._pending_bytes > self._limits.head_bytes_max:
            self._refuse(trailers_too_large(self._limits))
            return
        self._body_last_s = self.loop.time()
        if self._timer is None:
            self._body_began_s = self._body_last_s
            self._start_timer(self._limits.body_timeout_s, self._on_body_late)

    def _on_nothing_missing(self) -> None:
        if self._timer is not None and self._is_known:
            self._stop_timer()
        if self._idle_until_s is None and (self.cycle is None or self.cycle.response_complete) and self._is_known:
            # It was answered before its body had come; what is idle from now on is not idle for ever.
            self.wait_for_next()

    # Parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._is_known and self._timer is not None:
            self._stop_timer()  # That of the request before.
        self._has_begun = self._in_head = self._head_began = True
        self._in_body = False
        self._pending_bytes = 0

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > REQUEST_LINE_BYTES_MAX:
            self._stop_parsing(request_line_too_long())

    # Every usual request passes here several times: uvicorn's own lines are repeated instead of called.

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # A trailer: nobody checked it when the request was let in, so nobody reads it.
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        if len(self.headers) > self._headers_max:
            self._stop_parsing(headers_too_many(self._limits))

    def on_headers_complete(self) -> None:
        # Seldom counted: what came in so few bytes cannot be too large.
        if (
            self._piece_bytes + self._pending_bytes > self._head_bytes_max
            and self._size_of_head() > self._head_bytes_max
        ):
            self._stop_parsing(headers_too_large(self._limits))
        if self.parser.should_upgrade():
            self._method, self._wants_upgrade = self.parser.get_method(), True
            if self._method == b"CONNECT":
                self._stop_parsing(malformed())
            return
        self._in_head, self._in_body, self._body_went_on, self._is_known = False, True, True, True
        self._pending_bytes = self._body_bytes = 0
        if self._timer is not None:
            self._stop_timer()
        self.begin()

    def _start(self) -> None:
        super()._start()
        raw_path = self.scope["raw_path"]
        if b"%" in raw_path and b"%2f" in raw_path.lower():
            # Decoded it would be another path, with other segments, than whoever stands before us has judged.
            parts = _ENCODED_SLASH.split(raw_path.decode("ascii"))
            self.scope["path"] = ENCODED_SLASH.join(unquote(part) for part in parts)

    def on_body(self, body: bytes) -> None:
        self._body_went_on = True
        self._body_bytes += len(body)
        if self._is_put_off:
            self._body_at_once += body
            return
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self._wants_upgrade:
            return
        self._in_body = False
        if self._is_put_off and self.answer_at_once():
            return
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def _size_of_head(self) -> int:
        # The colon, a blank and the end of the line count too.
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _stop_parsing(self, refusal: ServerRefusal) -> None:
        self._refusal = refusal
        raise _RefusedError

    # Answer

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and self.cycle.response_complete and not self.transport.is_closing():
            # Answered before its body has come, as refusals are: the rest is waited for, but not for long.
            self._start_timer(self._limits.head_timeout_s, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
            self.loop.call_later(LINGER_S, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self._limits.answer_timeout_s, self._on_answer_not_read)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    # Timers

    def _start_timer(self, seconds: float, then: Any) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_head_late(self) -> None:
        self._timer = None
        if self._in_head:
            self._refuse(head_too_slow(self._limits))
        elif not self._has_begun:
            HTTP_REFUSED.labels("nothing_came").inc()
            self.transport.abort()

    def _on_body_late(self) -> None:
        self._timer = None
        now, limit_s = self.loop.time(), self._limits.body_timeout_s
        if self.flow.read_paused:
            # It is we who do not read: the time does not count.
            self._body_began_s += limit_s
            self._body_last_s = now
        still_s = now - self._body_last_s
        whole_s = now - self._body_began_s
        if still_s >= limit_s or whole_s > limit_s + self._body_bytes / BODY_BYTES_PER_S_MIN:
            self._refuse(body_too_slow(self._limits))
        else:
            self._start_timer(limit_s - still_s, self._on_body_late)

    def _on_answer_not_read(self) -> None:
        HTTP_REFUSED.labels("answer_not_read").inc()
        self.transport.abort()

    # Refusal

    def _refuse(self, refusal: ServerRefusal) -> None:
        """Answer with a problem and close. Where an answer is on its way already, only close."""
        self._stop_timer()
        HTTP_REFUSED.labels(refusal.reason).inc()
        self._has_refused = True
        cycle = self.cycle
        is_busy = cycle is not None and not cycle.response_complete
        if self.pipeline or (is_busy and (cycle.response_started or not self._in_body)):
            self.transport.abort()
            return
        if is_busy:
            cycle.disconnected = True
            cycle.message_event.set()
        body = orjson.dumps(refusal.body())
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "connection": "close",
            "x-request-id": new_uuid7(),
            **refusal.headers,
        }
        lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
        self.transport.write(STATUS_LINE[refusal.status] + lines + b"\r\n" + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(LINGER_S, self.transport.abort)

    def _linger(self, size: int) -> None:
        self._lingered_bytes += size
        if self._lingered_bytes > LINGER_BYTES_MAX:
            self.transport.abort()
