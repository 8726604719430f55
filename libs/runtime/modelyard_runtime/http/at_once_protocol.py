"""One HTTP/1.1 connection: uvicorn's with httptools, which can also answer at once, without a task for the request."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from modelyard_runtime.http.at_once import Answer, AnswersAtOnce


class AtOnceProtocol(HttpToolsProtocol):
    """Asks the application for an answer at once where it may have one, else starts it as uvicorn does.

    Only the first request of a piece is answered at once: whoever sends hundreds in one piece holds up nobody else.
    """

    def __init__(self, *args: Any, at_once: AnswersAtOnce | None, **more: Any) -> None:
        super().__init__(*args, **more)
        self._at_once = at_once
        # A request that may be answered at once is put off until its body is there.
        self._is_put_off = self._has_answered = False
        self._body_at_once = b""
        self._idle_until_s: float | None = None
        self._idle_timer: Any = None

    # Parser

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def begin(self) -> None:
        """The head of a request is there: put the request off, or start it."""
        if self._may_answer_at_once():
            self._is_put_off, self._body_at_once = True, b""
        else:
            self._start()

    def _may_answer_at_once(self) -> bool:
        at_once, cycle, parser = self._at_once, self.cycle, self.parser
        return (
            at_once is not None
            and at_once.may_answer_at_once(self.url)
            and not self._has_answered
            and (cycle is None or cycle.response_complete)
            and not self.expect_100_continue
            and not self.flow.write_paused
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
        )

    def _start(self) -> None:
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]  # Typed as any text by uvicorn; it is http or https.
            "root_path": self.root_path,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }
        super().on_headers_complete()

    def start_after_all(self) -> None:
        """Start a request that was put off, with what has come of its body."""
        self._is_put_off = False
        self._start()
        if self._body_at_once:
            self.cycle.body += self._body_at_once

    def answer_at_once(self) -> bool:
        """Answer a request that was put off and is whole now; False when the application had to be started."""
        self._is_put_off, self._has_answered = False, True
        assert self._at_once is not None
        answer = self._at_once.answer_at_once(self.url, self.headers, self._body_at_once)
        if answer is None:
            self.start_after_all()
            return False
        self.transport.write(self._bytes_of(answer))
        self.server_state.total_requests += 1
        self.wait_for_next()
        return True

    def _bytes_of(self, answer: Answer) -> bytes:
        lines = [STATUS_LINE[answer.status]]
        for name, value in self.server_state.default_headers:
            lines += (name, b": ", value, b"\r\n")
        for name, value in answer.headers:
            lines += (name, b": ", value, b"\r\n")
        lines += (b"content-length: %d\r\n\r\n" % len(answer.body), answer.body)
        return b"".join(lines)

    # Between requests: one timer for a connection, which looks when it is over whether anything came meanwhile.

    def wait_for_next(self) -> None:
        """Nothing is under way: close the connection unless something comes in time."""
        self._idle_until_s = self.loop.time() + self.timeout_keep_alive
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._on_idle)

    def stop_idle_timer(self) -> None:
        """The connection is closed."""
        self._idle_until_s = None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _unset_keepalive_if_required(self) -> None:
        self._idle_until_s = None

    def _on_idle(self) -> None:
        self._idle_timer = None
        if self._idle_until_s is None:
            return
        left_s = self._idle_until_s - self.loop.time()
        if left_s > 0:
            self._idle_timer = self.loop.call_later(left_s, self._on_idle)
        else:
            self.timeout_keep_alive_handler()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        else:
            self.wait_for_next()
