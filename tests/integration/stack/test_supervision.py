"""A program that dies is started again, and a person is told; a crash loop is reported, and slows down."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from modelyard_stack import StackError
from modelyard_stack.http_program import HttpProgram
from modelyard_stack.keeper import Keeper, Status
from modelyard_stack.ports import free_ports
from modelyard_stack.server import KeptServer
from modelyard_stack.supervision import Supervised, pause_s, supervise
from modelyard_stack.system import passed_on

from tests.world.waiting import until

pytestmark = pytest.mark.integration


@asynccontextmanager
async def supervised(*servers: Supervised, said: list[str]) -> AsyncIterator[None]:
    task = asyncio.create_task(supervise(servers, say=said.append, look_every_s=0.02))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def said_so_far(said: list[str]) -> str:
    return "\n".join(said)


async def test_a_killed_program_is_ready_again_on_its_port_and_it_is_told(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    program = HttpProgram(
        "server", module="http.server", directory=tmp_path / "files", port=port, arguments=[str(port)], ready_path="/"
    )
    said: list[str] = []
    async with Keeper(lock=tmp_path / "lock", remove=[]) as keeper:
        server = KeptServer(program, keeper=keeper, log=tmp_path / "log")
        await server.start()
        async with supervised(server, said=said):
            (running,) = [
                each
                for each in psutil.Process(os.getpid()).children(recursive=True)
                if each.cmdline()[-1:] == [str(port)]
            ]
            running.send_signal(signal.SIGKILL)
            await until(lambda: said_so_far(said), lambda text: "server is ready again." in text)

            await program.probe()

    assert said[0] == "server ended (by SIGKILL); it is started again in 0.5 s."


@dataclass
class Dying:
    """A server that ends at once whenever it is started."""

    log: Path
    name: str = "registry"
    starts: int = 0

    async def status(self) -> Status:
        return Status(running=False, exit_code=2)

    async def start(self) -> None:
        self.starts += 1
        raise StackError("registry ended while it started (exit code 2). The end of its log:\nlong")


async def test_a_crash_loop_is_reported_with_its_log_and_backs_off(tmp_path: Path) -> None:
    said: list[str] = []
    dying = Dying(log=tmp_path / "registry.log")
    async with supervised(dying, said=said):
        await until(lambda: said_so_far(said), lambda text: "ended 3 times in a row" in text)

    assert dying.starts == 2
    assert said[1] == "registry ended while it started (exit code 2). The end of its log:"
    assert str(dying.log) in said[-1]
    assert [pause_s(ends) for ends in (1, 2, 3, 8, 100)] == [0.5, 1, 2, 60, 60]


def test_settings_of_whoever_starts_the_system_reach_its_services() -> None:
    assert passed_on({"MODELYARD_LOG_LEVEL": "debug", "HOME": "/root"}) == {"MODELYARD_LOG_LEVEL": "debug"}
