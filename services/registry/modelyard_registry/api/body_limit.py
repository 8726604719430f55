"""No request body is read into memory beyond a limit; artifacts, which are streamed, have their own."""

import re

from modelyard_runtime.problems import ProblemError, problem_response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES_MAX = 4 * 1024 * 1024
_STREAMED = re.compile(r"/api/v1/projects/[^/]+/artifacts/sha256:[^/]+(/uploads/[^/]+/parts/[^/]+)?")


class BodyTooLargeError(ProblemError):
    """The request's body is larger than this registry reads."""

    code = "body-too-large"
    status = 413
    when = "The body has more bytes than the operation reads."
    fix = "Send less: large content belongs into an artifact, PUT …/artifacts/{digest}."


def too_large(bytes_max: int) -> BodyTooLargeError:
    """The refusal of a body of more than so many bytes."""
    return BodyTooLargeError(f"The body has more than {bytes_max} bytes.")


class BodyLimit:
    """ASGI middleware: answers 413 as soon as a body turns out to be larger than `BODY_BYTES_MAX`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its body counted."""
        if scope["type"] != "http" or _STREAMED.fullmatch(scope["path"]):
            return await self._app(scope, receive, send)
        received_bytes = 0
        has_begun = False

        async def counted() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > BODY_BYTES_MAX:
                raise _OverflowError
            return message

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except _OverflowError:
            if has_begun:
                raise
            await problem_response(too_large(BODY_BYTES_MAX))(scope, receive, send)
        return None


class _OverflowError(BaseException):
    # Not an Exception: what parses the body would take that for a body that cannot be parsed.
    pass
