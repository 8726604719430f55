"""Long work runs beside the server, ends with it, and takes it along when it fails."""

import asyncio
import signal
import sys

import pytest
from modelyard_runtime.lifecycle import beside

SERVICE_WITH_FAILING_WORK = """
import asyncio
from contextlib import asynccontextmanager
from fastapi import FastAPI
from modelyard_runtime.lifecycle import beside, serve
from modelyard_runtime.settings import ServiceSettings

async def fail():
    await asyncio.sleep(0.1)
    raise RuntimeError("the tail broke")

@asynccontextmanager
async def lifespan(app):
    async with beside("tail", fail()):
        yield

serve(FastAPI(lifespan=lifespan), settings=ServiceSettings())
"""


async def test_work_runs_beside_the_body_and_ends_with_it() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with beside("tail", work()) as running:
        await asyncio.sleep(0)
        while_it_ran = running.check()

    assert while_it_ran.ok
    assert ended.is_set()
    assert not running.check().ok


async def test_work_that_fails_asks_the_process_to_stop_and_its_error_is_not_lost() -> None:
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)

    async def fail() -> None:
        raise ValueError("the tail broke")

    try:
        with pytest.raises(ValueError, match="the tail broke"):
            async with beside("tail", fail()), asyncio.timeout(10):
                await asked.wait()
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


async def test_a_service_that_lost_a_part_does_not_go_on_without_it() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE_WITH_FAILING_WORK, stderr=asyncio.subprocess.PIPE
    )

    async with asyncio.timeout(60):
        _, log = await process.communicate()

    assert process.returncode != 0
    assert b"the tail broke" in log


SERVICE_THAT_WAITS_FOR_A_DATABASE = """
import asyncio, time
from contextlib import asynccontextmanager
from fastapi import FastAPI
from modelyard_runtime.lifecycle import serve
from modelyard_runtime.settings import ServiceSettings

@asynccontextmanager
async def lifespan(app):
    print("waiting", flush=True)
    await asyncio.to_thread(time.sleep, 60)
    yield

serve(FastAPI(lifespan=lifespan), settings=ServiceSettings())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_service_that_waits_for_a_database_is_stopped_within_a_moment(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVICE_THAT_WAITS_FOR_A_DATABASE),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()

    process.send_signal(number)
    async with asyncio.timeout(5):
        _, log = await process.communicate()

    assert process.returncode == -number
    assert b"Traceback" not in log


SERVICE_THAT_CANNOT_START = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
from modelyard_runtime.lifecycle import serve
from modelyard_runtime.settings import ServiceSettings

@asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no such bucket")
    yield

serve(FastAPI(lifespan=lifespan), settings=ServiceSettings())
"""


async def test_a_service_that_cannot_start_says_why_and_exits_with_3() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE_THAT_CANNOT_START, stderr=asyncio.subprocess.PIPE
    )

    async with asyncio.timeout(60):
        _, log = await process.communicate()

    assert process.returncode == 3
    assert b"no such bucket" in log
