"""What a connection may take before anybody has proved who sends: sizes, times and numbers, and the refusals.

None of these needs a token to be reached, so each is bounded in the server itself, before a request has come in whole.
"""

from dataclasses import dataclass
from typing import ClassVar

from modelyard_runtime.problems import ProblemError

REQUEST_LINE_BYTES_MAX = 16 * 1024
"""Method, path and query: longer than any address of ours, with all its filters."""

BODY_BYTES_PER_S_MIN = 100
"""A body that comes slower than this, all in all, is not waited for: a byte a minute must not hold a connection."""

LINGER_S = 1.0
LINGER_BYTES_MAX = 1024 * 1024
"""What is still read, and thrown away, after a refusal: closed at once, the caller would not see the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """The limits that settings may change, as `ServiceSettings` describes them."""

    head_bytes_max: int = 64 * 1024
    headers_max: int = 100
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    idle_timeout_s: float = 75.0
    answer_timeout_s: float = 60.0
    connections_max: int = 2_000


class ServerRefusal(ProblemError, is_family=True):
    """The server does not read the request to its end. `reason` is the label of the metric."""

    reason: ClassVar[str]


class MalformedHttpError(ServerRefusal):
    """What came is not HTTP/1.1."""

    code = "malformed-http"
    status = 400
    when = "The bytes on the connection are not a valid HTTP/1.1 request."
    fix = "Send the request with a well-kept HTTP client."
    reason = "malformed"


class RequestLineTooLongError(ServerRefusal):
    """The address of the request is too long."""

    code = "request-line-too-long"
    status = 414
    when = "Method, path and query together are longer than the server reads."
    fix = "Shorten the query: fewer filters, or shorter values."
    reason = "request_line_too_long"


class HeadersTooLargeError(ServerRefusal):
    """The headers of the request are too large, or too many."""

    code = "headers-too-large"
    status = 431
    when = "The headers or trailers have more bytes than the server reads, or there are too many of them."
    fix = "Send fewer or shorter headers."
    reason = "headers_too_large"


class RequestTooSlowError(ServerRefusal):
    """The request did not come in time."""

    code = "request-too-slow"
    status = 408
    when = "The head or the body of the request did not arrive before its deadline."
    fix = "Send the request again over a faster connection."
    reason = "too_slow"


class TooManyConnectionsError(ServerRefusal):
    """The service has as many connections as it can hold."""

    code = "too-many-connections"
    status = 503
    when = "The service holds as many connections as its limit allows."
    fix = "Try again in a second; close connections that you do not use."
    headers: ClassVar[dict[str, str]] = {"retry-after": "1"}
    reason = "too_many_connections"


def headers_too_large(limits: HttpLimits) -> HeadersTooLargeError:
    """The refusal of more bytes before the body than are read."""
    return HeadersTooLargeError(
        f"The request has more than {limits.head_bytes_max} bytes before its body.",
        fix="Send fewer or shorter headers; what is large belongs into the body.",
    )


def headers_too_many(limits: HttpLimits) -> HeadersTooLargeError:
    """The refusal of more headers than are read."""
    return HeadersTooLargeError(f"The request has more than {limits.headers_max} headers.", fix="Send fewer headers.")


def trailers_too_large(limits: HttpLimits) -> HeadersTooLargeError:
    """The refusal of a body whose chunks carry much that is no content."""
    return HeadersTooLargeError(
        f"More than {limits.head_bytes_max} bytes of the body are chunk extensions or trailers.",
        fix="Send the content alone: extensions and trailers are not read.",
    )


def head_too_slow(limits: HttpLimits) -> RequestTooSlowError:
    """The refusal of a request whose headers do not end."""
    return RequestTooSlowError(
        f"The headers were not there whole within {limits.head_timeout_s:g} s.",
        fix="Send the whole request at once; open a connection when there is something to send.",
    )


def body_too_slow(limits: HttpLimits) -> RequestTooSlowError:
    """The refusal of a request whose body does not go on."""
    return RequestTooSlowError(
        f"The body stood still for {limits.body_timeout_s:g} s, or came slower than {BODY_BYTES_PER_S_MIN} bytes/s.",
        fix="Send the body without pauses, with the content-length that it has.",
    )


def request_line_too_long() -> RequestLineTooLongError:
    """The refusal of an address that is longer than any of ours."""
    return RequestLineTooLongError(
        f"The address has more than {REQUEST_LINE_BYTES_MAX} bytes.", fix="Send fewer or shorter query parameters."
    )


def malformed() -> MalformedHttpError:
    """The refusal of bytes that are no request."""
    return MalformedHttpError(
        "The bytes that came are not a request of HTTP/1.1.",
        fix="Send plain HTTP/1.1; check the address (https where http is meant?) and the headers.",
    )


def too_many_connections() -> TooManyConnectionsError:
    """The refusal of a connection when all others are busy."""
    return TooManyConnectionsError(
        "All connections that this service can hold are busy.",
        fix="Try again after `Retry-After` seconds, keep fewer connections open, or have more processes started.",
    )
