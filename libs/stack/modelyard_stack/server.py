"""One server of the stack: started, killed, paused and restarted on the same port and data."""

import asyncio
import signal
import time
from pathlib import Path
from typing import NoReturn, Protocol

from modelyard_stack.errors import ServerFailedError, StackError
from modelyard_stack.keeper import Command, Keeper, Status

START_TIMEOUT_S = 90.0
STOP_GRACE_S = 30.0
LOOK_INTERVAL_S = 0.05
PROBE_TIMEOUT_S = 5.0


class Server(Protocol):
    """What a test or the demo does to a server; each method raises `StackError` where it cannot be done."""

    @property
    def name(self) -> str: ...

    async def start(self) -> None:
        """Start it on its port and data, and wait until it answers."""

    async def stop(self) -> None:
        """Ask it to stop, and wait until it has."""

    async def kill(self) -> None:
        """End it at once with SIGKILL, with every process it has started."""

    async def pause(self) -> None:
        """Freeze it with SIGSTOP: connections stay open, nothing answers."""

    async def resume(self) -> None:
        """Thaw it with SIGCONT."""

    async def restart(self) -> None:
        """Stop it if it runs, then start it."""


class NotReadyError(Exception):
    """The server does not answer as it should yet."""


class Program(Protocol):
    """What tells one server from another: its files, its command, how to ask whether it is ready."""

    name: str
    stop_signal: signal.Signals

    async def prepare(self, keeper: Keeper, *, log: Path) -> None:
        """Make what the server needs before its first start; does nothing when that is there."""

    def command(self) -> Command: ...

    async def probe(self) -> None:
        """Ask what only a ready server answers; raises `NotReadyError` or `OSError` until then."""


class KeptServer:
    """A server that the keeper runs."""

    def __init__(self, program: Program, *, keeper: Keeper, log: Path) -> None:
        self._program = program
        self._keeper = keeper
        self.log = log

    @property
    def name(self) -> str:
        return self._program.name

    async def start(self) -> None:
        await self._program.prepare(self._keeper, log=self.log)
        await self._keeper.start(self.name, command=self._program.command(), log=self.log)
        await self.wait_until_ready()

    async def wait_until_ready(self, *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Ask until it answers; raises `ServerFailedError` when it ends instead or takes too long."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    return await self._program.probe()
            except (NotReadyError, OSError, EOFError) as error:
                status = await self._keeper.status(self.name)
                if not status.running:
                    reason = f"ended while it started ({ended_how(status.exit_code)})"
                    raise ServerFailedError(self.name, reason=reason, log=self.log) from error
                if time.monotonic() > deadline:
                    reason = f"did not answer within {timeout_s:.0f} s"
                    raise ServerFailedError(self.name, reason=reason, log=self.log) from error
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def status(self) -> Status:
        """Whether it runs, and how it ended."""
        return await self._keeper.status(self.name)

    async def stop(self) -> None:
        await self._keeper.signal(self.name, number=signal.SIGCONT)
        await self._keeper.signal(self.name, number=self._program.stop_signal)
        if not await self._keeper.has_ended_within(self.name, timeout_s=STOP_GRACE_S):
            await self.kill()

    async def kill(self) -> None:
        await self._keeper.signal(self.name, number=signal.SIGKILL)
        if not await self._keeper.has_ended_within(self.name, timeout_s=STOP_GRACE_S):
            raise StackError(f"{self.name} outlived SIGKILL by {STOP_GRACE_S:.0f} s; see {self.log}")

    async def pause(self) -> None:
        await self._keeper.signal(self.name, number=signal.SIGSTOP)

    async def resume(self) -> None:
        await self._keeper.signal(self.name, number=signal.SIGCONT)

    async def restart(self) -> None:
        await self.stop()
        await self.start()


class ExternalServer:
    """A server that somebody else runs: it can be used, not started or stopped."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    async def start(self) -> None:
        self._refuse("start")

    async def stop(self) -> None:
        self._refuse("stop")

    async def kill(self) -> None:
        self._refuse("kill")

    async def pause(self) -> None:
        self._refuse("pause")

    async def resume(self) -> None:
        self._refuse("resume")

    async def restart(self) -> None:
        self._refuse("restart")

    def _refuse(self, action: str) -> NoReturn:
        raise StackError(
            f"Cannot {action} {self._name}: with MODELYARD_STACK=external somebody else runs it. "
            "Set MODELYARD_STACK=embedded to have servers that can be stopped."
        )


def ended_how(exit_code: int | None) -> str:
    """How a program ended, in words: its exit code, or the signal."""
    if exit_code is not None and exit_code < 0:
        return f"by {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"
