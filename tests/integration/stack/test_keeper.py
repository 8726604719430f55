"""The keeper: programs by name, and none left when it is closed, whatever they do about it."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from modelyard_stack import StackError
from modelyard_stack.keeper import Command, Keeper
from modelyard_stack.postgres_account import account_for, can_execute, copy_binaries, installed_binaries

from tests.integration.stack.processes import wait_until_gone

pytestmark = pytest.mark.integration
WAIT_S = 30.0
WITH_CHILD = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
time.sleep(600)
"""


def python(code: str, *, directory: Path) -> Command:
    return Command(argv=[sys.executable, "-c", code], directory=directory, final_signal=signal.SIGKILL)


async def test_the_exit_code_of_a_program_is_known(tmp_path: Path) -> None:
    async with Keeper(lock=tmp_path / "lock", remove=[]) as keeper:
        code = await keeper.run(
            "program",
            command=python("print('said'); raise SystemExit(3)", directory=tmp_path),
            log=tmp_path / "log",
            timeout_s=WAIT_S,
        )

    assert code == 3
    assert (tmp_path / "log").read_text(encoding="utf-8") == "said\n"


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    command = Command(argv=["/nowhere/program"], directory=tmp_path, final_signal=signal.SIGKILL)
    async with Keeper(lock=tmp_path / "lock", remove=[]) as keeper:
        with pytest.raises(StackError, match="/nowhere/program"):
            await keeper.start("program", command=command, log=tmp_path / "log")


async def test_children_of_a_program_that_has_ended_are_ended_too(tmp_path: Path) -> None:
    async with Keeper(lock=tmp_path / "lock", remove=[]) as keeper:
        command = python(WITH_CHILD, directory=tmp_path)
        pid = await keeper.start("program", command=command, log=tmp_path / "log")
        program = psutil.Process(pid)
        while not (children := program.children()):
            assert program.is_running()
        program.kill()

    assert await wait_until_gone({program, *children}) == set()


async def test_a_program_does_not_see_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/elsewhere")
    command = python("import os; print(sorted(os.environ))", directory=tmp_path)

    async with Keeper(lock=tmp_path / "lock", remove=[]) as keeper:
        await keeper.run("program", command=command, log=tmp_path / "log", timeout_s=WAIT_S)

    assert "PGDATA" not in (tmp_path / "log").read_text(encoding="utf-8")


async def test_directories_are_removed_at_the_end(tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / "below").mkdir(parents=True)

    async with Keeper(lock=place / "lock", remove=[place]):
        assert place.exists()

    assert not place.exists()


async def test_a_closed_keeper_says_so(tmp_path: Path) -> None:
    async with Keeper(lock=tmp_path / "lock", remove=[]) as keeper:
        pass

    with pytest.raises(StackError, match="not running"):
        await keeper.status("program")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as another user")
def test_binaries_that_the_account_cannot_reach_are_copied(tmp_path: Path) -> None:
    account = account_for(tmp_path / "postgres")
    assert account is not None
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    hidden = copy_binaries(installed_binaries(), to=closed / "packages")
    with tempfile.TemporaryDirectory() as directory:
        copied = copy_binaries(hidden, to=Path(directory))

        assert not can_execute(hidden, account=account)
        assert can_execute(copied, account=account)
        shutil.rmtree(closed)


async def test_a_second_keeper_says_how_to_stop_the_first(tmp_path: Path) -> None:
    async with Keeper(lock=tmp_path / "lock", remove=[]):
        with pytest.raises(StackError, match=f"already: stop it with Ctrl-C in its terminal or `kill {os.getpid()}`"):
            async with Keeper(lock=tmp_path / "lock", remove=[]):
                pass


async def test_whoever_is_cancelled_while_it_asks_leaves_no_answer_for_the_next_one(tmp_path: Path) -> None:
    command = python("import time; time.sleep(600)", directory=tmp_path)
    async with Keeper(lock=tmp_path / "lock", remove=[]) as keeper:
        await keeper.start("program", command=command, log=tmp_path / "log")
        for _ in range(5):
            asking = asyncio.create_task(keeper.status("program"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait({asking})
            await keeper.signal("program", number=signal.SIGCONT)

            assert (await keeper.status("program")).running
