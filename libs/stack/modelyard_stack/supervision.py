"""What ends without being asked is started again: at once the first time, then after longer and longer pauses."""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from modelyard_stack.errors import StackError
from modelyard_stack.keeper import Status
from modelyard_stack.server import KeptServer, ended_how
from modelyard_stack.system import System

LOOK_EVERY_S = 0.5
PAUSE_FIRST_S = 0.5
PAUSE_MAX_S = 60.0
SOUND_AFTER_S = 60.0
"""Whoever ran so long before it ended is taken for sound: its pauses begin anew."""

CRASH_LOOP_ENDS = 3

Say = Callable[[str], None]
"""Tells a person what happened, in one line."""


class Supervised(Protocol):
    """A server that can be looked at and started."""

    @property
    def name(self) -> str: ...

    @property
    def log(self) -> Path: ...

    async def status(self) -> Status:
        """Whether it runs, and how it ended."""
        ...

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        ...


def kept_servers(system: System) -> list[KeptServer]:
    """Every program of a system that was started here, its servers first."""
    stack = system.stack
    servers = [each for each in (stack.kafka, stack.postgres, stack.valkey) if isinstance(each, KeptServer)]
    return [*servers, *(service.server for service in system.services.values())]


def pause_s(ends: int) -> float:
    """How long to wait before a server is started that has ended so many times in a row."""
    return min(PAUSE_MAX_S, PAUSE_FIRST_S * 2.0 ** (ends - 1))


async def supervise(
    servers: Iterable[Supervised],
    *,
    say: Say,
    seconds: Callable[[], float] = time.monotonic,
    look_every_s: float = LOOK_EVERY_S,
) -> None:
    """Start each server again that ends, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for server in servers:
            group.create_task(_keep(server, say=say, seconds=seconds, look_every_s=look_every_s))


async def _keep(server: Supervised, *, say: Say, seconds: Callable[[], float], look_every_s: float) -> None:
    ends, started_s = 0, seconds()
    while True:
        status = await server.status()
        if status.running:
            await asyncio.sleep(look_every_s)
            continue
        ends = 1 if seconds() - started_s > SOUND_AFTER_S else ends + 1
        wait_s = pause_s(ends)
        say(_ending(server, ended_how(status.exit_code), ends=ends, wait_s=wait_s))
        await asyncio.sleep(wait_s)
        started_s = seconds()
        try:
            await server.start()
        except StackError as error:
            say(str(error).splitlines()[0])
        else:
            say(f"{server.name} is ready again.")


def _ending(server: Supervised, how: str, *, ends: int, wait_s: float) -> str:
    if ends < CRASH_LOOP_ENDS:
        return f"{server.name} ended ({how}); it is started again in {wait_s:g} s."
    return (
        f"{server.name} ended {ends} times in a row ({how}): something keeps it from running. "
        f"It is tried again in {wait_s:g} s; its log says why: {server.log}"
    )
