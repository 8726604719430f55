"""Lines of JSON, written straight to a stream: a request's line costs a small part of the request."""

import json
from contextlib import suppress
from typing import BinaryIO

import orjson
from structlog.typing import EventDict


def json_line(_: object, __: str, event: EventDict) -> bytes:
    """A structlog processor, the last one: the event as JSON; what JSON has no word for is shown as Python shows it."""
    try:
        return orjson.dumps(event, default=repr)
    except TypeError:
        # Numbers beyond 64 bits, halves of surrogate pairs, names that are no text.
        return json.dumps(event, default=repr, skipkeys=True).encode()


class JsonLines:
    """A logger that writes each line whole and at once. A log that cannot be written fails no request."""

    def __init__(self, *, name: str, stream: BinaryIO) -> None:
        self.name = name
        self._stream = stream

    def msg(self, line: bytes) -> None:
        """Write one line."""
        with suppress(OSError, ValueError):
            self._stream.write(line + b"\n")
            self._stream.flush()

    debug = info = warning = error = critical = exception = msg
