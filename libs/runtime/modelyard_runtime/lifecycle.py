"""How a service runs and stops: one process, one event loop, crash rather than limp.

`serve` runs the HTTP server; `beside` runs long work next to it. Work that ends by an error takes the
process down, so that whoever supervises it starts a clean one: a service that lost a part in silence
is worse than one that is not there.
"""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from modelyard_runtime.health import HealthCheck
from modelyard_runtime.http.server import server_config
from modelyard_runtime.settings import ServiceSettings
from modelyard_runtime.startup import StoppableServer

log = structlog.get_logger()


class Work:
    """One piece of long work; healthy while it runs."""

    def __init__(self, name: str, task: "asyncio.Task[None]") -> None:
        self.name = name
        self._task = task

    def check(self) -> HealthCheck:
        """Healthy while the work goes on."""
        return HealthCheck(name=self.name, ok=not self._task.done(), detail="" if not self._task.done() else "ended")


@asynccontextmanager
async def beside(name: str, work: Coroutine[Any, Any, None]) -> AsyncIterator[Work]:
    """Run `work` beside the body and cancel it when the body ends.

    When the work ends first, by an error, the process is asked to stop (SIGTERM to itself) and the error
    is raised again when the body ends, so that the process exits non-zero.
    """
    task = asyncio.create_task(work, name=name)

    def on_done(done: "asyncio.Task[None]") -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            log.critical("work_failed", work=name, exc_info=error)
            os.kill(os.getpid(), signal.SIGTERM)

    task.add_done_callback(on_done)
    try:
        yield Work(name, task)
    finally:
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            if (current := asyncio.current_task()) is not None and current.cancelling():
                raise


def serve(app: Any, *, settings: ServiceSettings) -> None:
    """Serve an ASGI application until SIGTERM or SIGINT, then drain and return."""
    # What was imported and built is here to stay. Left to the garbage collector, it would be searched through again
    # and again while requests wait, a fifth of a second each time.
    gc.collect()
    gc.freeze()
    config = server_config(
        app,
        limits=settings.http_limits(),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        timeout_graceful_shutdown=int(settings.shutdown_grace_s),
    )
    StoppableServer(config).run()
