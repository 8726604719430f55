"""HEAD on everything that takes GET: the same answer without its body."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ORIGINALLY = "modelyard.head"


class HeadRequests:
    """ASGI middleware: answers HEAD as GET is answered, and leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; a HEAD becomes a GET of which only the head is sent."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self._app(scope, receive, send)

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        return await self._app({**scope, "method": "GET", _ORIGINALLY: True}, receive, without_body)


def is_head_request(scope: Scope) -> bool:
    """Whether the caller sent HEAD: an answer that is costly to make can leave its body out itself."""
    return bool(scope.get(_ORIGINALLY))
