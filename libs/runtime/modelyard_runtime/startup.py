"""A server that can be stopped while it still starts: waiting for a database must not hold up whoever stops it."""

import asyncio
import contextlib
import os
import signal
import socket
from types import FrameType

import structlog
import uvicorn
from uvicorn.lifespan.on import LifespanOn

CLOSING_S = 1.0
"""What may be opened half-way gets so long to be closed."""

log = structlog.get_logger()


class _Lifespan(LifespanOn):
    """uvicorn's, with a start that can be given up."""

    was_given_up = False

    def give_up(self) -> None:
        self.was_given_up = self.startup_failed = True
        self.startup_event.set()

    async def startup(self) -> None:
        self.logger.info("Waiting for application startup.")
        application = asyncio.create_task(self.main(), name="lifespan")
        await self.receive_queue.put({"type": "lifespan.startup"})
        await self.startup_event.wait()
        if self.was_given_up:
            application.cancel()
            await asyncio.wait({application}, timeout=CLOSING_S)
        if self.startup_failed or self.error_occurred:
            self.should_exit = True
            log.error("startup_failed" if not self.was_given_up else "startup_given_up")
        else:
            self.logger.info("Application startup complete.")


class StoppableServer(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, which end it within a moment also before it is ready."""

    lifespan: _Lifespan

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve; exits with 3 when the application does not start."""
        self.config.load()
        self.config.lifespan_class = _Lifespan
        # Raised again after Ctrl-C, when everything is drained and closed.
        with contextlib.suppress(KeyboardInterrupt):
            super().run(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen."""
        self._loop = asyncio.get_running_loop()
        try:
            if not self.should_exit:
                await super().startup(sockets)
        except SystemExit:
            if not self._captured_signals:
                raise
        if not self.started:
            # A thread may still wait for a database; nothing was taken on that would have to be finished.
            number = self._captured_signals[0]
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ask the server to stop, and its start too."""
        super().handle_exit(sig, frame)
        if not self.started and hasattr(self, "lifespan"):
            self._loop.call_soon_threadsafe(self.lifespan.give_up)
