"""A program with an HTTP port that says when it is ready: Modelyard's services, and those around them."""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelyard_stack.keeper import Command, Keeper
from modelyard_stack.ports import HOST
from modelyard_stack.server import NotReadyError


class HttpProgram:
    """A Python module that serves HTTP on `port` of this machine; ready when `ready_path` answers 200."""

    stop_signal = signal.SIGTERM

    def __init__(
        self,
        name: str,
        *,
        module: str,
        directory: Path,
        port: int,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        ready_path: str = "/readyz",
    ) -> None:
        self.name = name
        self.port = port
        self._module = module
        self._directory = directory
        self._arguments = arguments
        self._environment = dict(environment or {})
        self._ready_path = ready_path

    async def prepare(self, keeper: Keeper, *, log: Path) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)

    def command(self) -> Command:
        return Command(
            argv=[sys.executable, "-m", self._module, *self._arguments],
            directory=self._directory,
            final_signal=signal.SIGTERM,
            environment=self._environment,
        )

    async def probe(self) -> None:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            writer.write(f"GET {self._ready_path} HTTP/1.0\r\nhost: {HOST}\r\n\r\n".encode())
            status = await reader.readline()
            answer = await reader.read(2_000)
        finally:
            writer.close()
        if b" 200 " not in status:
            raise NotReadyError(answer.rpartition(b"\r\n\r\n")[2].decode(errors="replace"))
