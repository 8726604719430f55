"""Whoever is killed, with whatever signal: no process and no temporary file of the stack stays behind."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import modelyard_stack
import pytest
from modelyard_stack.kafka_jars import KAFKA_VERSION, downloads_directory

from tests.integration.stack.processes import keeper_of, processes_of, wait_until_gone

pytestmark = pytest.mark.integration
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 60.0
NOBODY = 65534
# Where another interpreter finds what ours does.
PACKAGES = {"PYTHONPATH": f"{Path(modelyard_stack.__file__).parents[1]}:{sysconfig.get_path('purelib')}"}

# Starts a stack, says where its files are, and waits to be killed.
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
from modelyard_stack import Stack

async def main():
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    async with Stack.start(directory=directory) as stack:
        print(json.dumps({"directory": str(stack.directory), **stack.addresses.as_environment()}), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_parent_leaves_no_process_and_no_temporary_directory() -> None:
    async with _parent() as (parent, directory):
        processes = processes_of(directory)

        parent.kill()

        assert len(processes) > len(("kafka", "postgres", "valkey"))
        assert await wait_until_gone(processes) == set()
        assert not directory.exists()


async def test_a_killed_parent_leaves_the_data_of_a_given_directory(tmp_path: Path) -> None:
    async with _parent(str(tmp_path)) as (parent, directory):
        processes = processes_of(directory)

        parent.kill()

        assert await wait_until_gone(processes) == set()
        assert (directory / "postgres" / "data" / "PG_VERSION").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
async def test_a_killed_keeper_leaves_no_process() -> None:
    async with _parent() as (_, directory):
        processes = processes_of(directory)

        keeper_of(directory).kill()

        assert await wait_until_gone(processes) == set()
        shutil.rmtree(directory)  # The parent would do so, if this test did not kill it too.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_stops_at_once_when_it_is_asked_to(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "modelyard_stack", "up"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(START_TIMEOUT_S):
        lines = [(await process.stdout.readline()).decode() for _ in range(9)]

    process.send_signal(number)
    async with asyncio.timeout(STOP_TIMEOUT_S):
        _, complaints = await process.communicate()

    directory = Path(next(line.split()[-1] for line in lines if "logs" in line))
    assert any(line.startswith("export MODELYARD_KAFKA_BOOTSTRAP=") for line in lines)
    assert process.returncode == 0
    assert complaints.decode().strip() == "Stopping ..."
    assert processes_of(directory) == set()
    assert directory.name not in os.listdir(directory.parent)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_an_ordinary_user_can_run_it_from_an_empty_home() -> None:
    with _home_of_nobody() as home:
        environment = {"HOME": str(home), **PACKAGES}
        python = _python_of(NOBODY)
        async with _parent(str(home / "stack"), python=python, user=NOBODY, environment=environment) as (
            parent,
            directory,
        ):
            processes = processes_of(directory)
            users = {process.uids().real for process in processes}

            parent.terminate()

            assert users == {NOBODY}
            assert await wait_until_gone(processes) == set()


@asynccontextmanager
async def _parent(
    *arguments: str,
    python: str = sys.executable,
    user: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Path]]:
    """A process that has started a stack, and the stack's directory."""
    process = await asyncio.create_subprocess_exec(
        *(python, "-c", SCRIPT, *arguments),
        stdout=subprocess.PIPE,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        env=environment,
        cwd="/",
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await process.stdout.readline()
        yield process, Path(json.loads(line)["directory"])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@contextmanager
def _home_of_nobody() -> Iterator[Path]:
    """A directory of the user nobody with Kafka's jars in its cache: below one that everybody can pass."""
    with tempfile.TemporaryDirectory(prefix="modelyard-home-") as home:
        jars = Path(home, ".cache", "modelyard", f"kafka-{KAFKA_VERSION}")
        shutil.copytree(downloads_directory() / jars.name, jars)
        for path in [Path(home), *Path(home).rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        yield Path(home)


def _python_of(user: int) -> str:
    """An interpreter that the user can run with our packages; skips the test when there is none."""
    ours = sys.executable
    for python in (ours, f"/usr/bin/python3.{sys.version_info.minor}"):
        trial = [python, "-c", "import modelyard_stack"]
        try:
            subprocess.run(trial, user=user, cwd="/", env=PACKAGES, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    pytest.skip(f"the user with id {user} cannot run {ours}, nor a system's Python of the same version")
