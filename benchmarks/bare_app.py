"""The barest ASGI application: the same JSON for every request, an empty object unless told otherwise.

    python -m benchmarks.bare_app --port 9000

It is the reference for the router's door and, with an answer of the Open Inference Protocol, a model that
costs nothing.
"""

import argparse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from modelyard_runtime.lifecycle import serve
from modelyard_runtime.settings import ServiceSettings

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def build_app(answer: bytes) -> Application:
    """An application that answers `answer`, whatever was asked."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    body = {"type": "http.response.body", "body": answer}

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        await send(start)
        await send(body)

    return app


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def main() -> None:
    """Serve on the port, with the very settings that the services are served with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer", default="{}", help="what to answer instead of an empty object")
    arguments = parser.parse_args()
    serve(build_app(arguments.answer.encode()), settings=ServiceSettings(port=arguments.port))


if __name__ == "__main__":
    main()
