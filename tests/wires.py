"""A wire between a service and a server that a test can cut, and mend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum

from modelyard_stack.ports import HOST


class WireState(Enum):
    """What a wire does with a connection."""

    WHOLE = "whole"
    CUT = "cut"
    """Hangs up."""
    FAILING = "failing"
    """Answers every request 500."""
    SILENT = "silent"
    """Never answers."""


class Wire:
    """Passes bytes on to a port of this machine while it is whole."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._state = WireState.WHOLE
        self._open: set[asyncio.StreamWriter] = set()

    def become(self, state: WireState) -> None:
        """Treat connections so from now on; those that are open end."""
        self._state = state
        for writer in self._open:
            writer.close()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._open.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                match self._state:
                    case WireState.WHOLE:
                        await self._pass_on(reader, writer)
                    case WireState.CUT:
                        pass
                    case WireState.FAILING:
                        await _fail(reader, writer)
                    case WireState.SILENT:
                        while await reader.read(65_536):
                            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, self._port)
        self._open.add(back)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, back))
                group.create_task(_copy(there, writer))
        finally:
            self._open.discard(back)
            back.close()


@asynccontextmanager
async def wire_to(port: int) -> AsyncIterator[tuple[Wire, int]]:
    """A whole wire to `port`, and the port at its other end."""
    wire = Wire(port)
    server = await asyncio.start_server(wire.carry, HOST, 0)
    try:
        yield wire, server.sockets[0].getsockname()[1]
    finally:
        wire.become(WireState.CUT)
        server.close()
        await server.wait_closed()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await source.read(65_536):
            target.write(chunk)
            await target.drain()
    target.close()


async def _fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    await writer.drain()
