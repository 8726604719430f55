"""Serve an ASGI application on a free port of this machine while a test talks to it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from modelyard_runtime.http.limits import HttpLimits
from modelyard_runtime.http.server import server_config


@asynccontextmanager
async def serving(app: Any, *, limits: HttpLimits | None = None) -> AsyncIterator[str]:
    """The base URL of `app`, served as services are, with its lifespan, until the body ends."""
    # asyncio turns Nagle's algorithm off only where the protocol is named: else each answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = server_config(app, limits=limits or HttpLimits(), timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    # `Server.serve` would take the test runner's signal handlers.
    running = asyncio.create_task(server._serve(sockets=[listener]))
    try:
        while not server.started:
            if running.done():
                await running
                raise RuntimeError("the application did not start; its log says why")
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
        listener.close()
