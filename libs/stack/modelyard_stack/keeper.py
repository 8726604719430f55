"""Our end of the pipe to the keeper, the process that starts the servers and never lets one outlive us."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from modelyard_stack.errors import StackError

ANSWER_TIMEOUT_S = 60.0
CLOSE_TIMEOUT_S = 60.0
LOOK_INTERVAL_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The operating system's user and group that a server runs as."""

    user: int
    group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How to run one program.

    `final_signal` stops it when the stack ends, `orphan_signal` (from the kernel) when the keeper was killed.
    """

    argv: Sequence[str]
    directory: Path
    final_signal: signal.Signals
    orphan_signal: signal.Signals = signal.SIGKILL
    account: Account | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Whether a program runs; `exit_code` is negative when a signal ended it, None before any end."""

    running: bool
    exit_code: int | None


class Keeper:
    """Starts and signals programs by name. When it is closed, every one of them is stopped.

    `remove` are directories that it deletes at the end, even when this process was killed.
    """

    def __init__(self, *, lock: Path, remove: Sequence[Path]) -> None:
        self._lock = lock
        self._remove = remove
        self._one_at_a_time = asyncio.Lock()
        self._exchanges: set[asyncio.Task[dict[str, Any]]] = set()
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        removals = [argument for directory in self._remove for argument in ("--remove", str(directory))]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(Path(__file__).with_name("keeper_process.py")),
            f"--parent={os.getpid()}",
            f"--lock={self._lock}",
            *removals,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # A session of its own: Ctrl-C in the terminal reaches us, and we decide what stops when.
            start_new_session=True,
        )
        try:
            await self._read_answer(self._process)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def start(self, name: str, *, command: Command, log: Path) -> int:
        """Start a program under `name`, its output appended to `log`; the answer is its pid."""
        account = command.account
        answer = await self._ask(
            {
                "do": "start",
                "name": name,
                "argv": list(command.argv),
                "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **command.environment},
                "cwd": str(command.directory),
                "log": str(log),
                "user": account.user if account else None,
                "group": account.group if account else None,
                "final_signal": command.final_signal,
                "orphan_signal": command.orphan_signal,
            }
        )
        return int(answer["pid"])

    async def run(self, name: str, *, command: Command, log: Path, timeout_s: float) -> int | None:
        """Run a program to its end; the answer is its exit code. Raises `StackError` after `timeout_s`."""
        await self.start(name, command=command, log=log)
        if not await self.has_ended_within(name, timeout_s=timeout_s):
            await self.signal(name, number=signal.SIGKILL)
            raise StackError(f"{name} did not end within {timeout_s:.0f} s; see {log}")
        return (await self.status(name)).exit_code

    async def has_ended_within(self, name: str, *, timeout_s: float) -> bool:
        """Wait until the program has ended; False when it still runs after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while (await self.status(name)).running:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_INTERVAL_S)
        return True

    async def signal(self, name: str, *, number: signal.Signals) -> None:
        """Signal a program; nothing happens when it has ended already."""
        await self._ask({"do": "signal", "name": name, "number": number})

    async def status(self, name: str) -> Status:
        answer = await self._ask({"do": "status", "name": name})
        return Status(running=answer["running"], exit_code=answer["exit_code"])

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        # Whoever is cancelled while it waits must not leave its answer in the pipe, for the next one to read.
        exchange = asyncio.create_task(self._exchange(request), name="keeper")
        self._exchanges.add(exchange)
        exchange.add_done_callback(self._exchanges.discard)
        return await asyncio.shield(exchange)

    async def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None:
            raise StackError("The stack is not running: use it inside `async with Stack.start()`.")
        async with self._one_at_a_time:
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                await process.stdin.drain()
            except ConnectionError as error:
                raise StackError("The stack's keeper process has ended; start the stack again.") from error
            return await self._read_answer(process)

    async def _read_answer(self, process: asyncio.subprocess.Process) -> dict[str, Any]:
        assert process.stdout is not None, "the keeper was started with a pipe as its output"
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            line = await process.stdout.readline()
        if not line:
            raise StackError("The stack's keeper process has ended; start the stack again.")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise StackError(answer["error"])
        return answer

    async def _close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None, "the keeper was started with a pipe as its input"
        process.stdin.close()
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await process.wait()
        for directory in self._remove:  # Gone already, unless the keeper itself was killed.
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
