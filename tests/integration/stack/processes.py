"""Which processes belong to a stack: those that name its directory, and everything below them."""

import asyncio
import contextlib
from pathlib import Path

import psutil

DEADLINE_S = 60.0


def processes_of(directory: Path) -> set[psutil.Process]:
    """The keeper of the stack in `directory`, its servers and all that these have started."""
    keepers = [process for process in psutil.process_iter() if _is_keeper(process, directory=directory)]
    return {*keepers, *(child for keeper in keepers for child in keeper.children(recursive=True))}


def keeper_of(directory: Path) -> psutil.Process:
    (keeper,) = (process for process in psutil.process_iter() if _is_keeper(process, directory=directory))
    return keeper


async def wait_until_gone(processes: set[psutil.Process]) -> set[psutil.Process]:
    """Those of `processes` which still run after a minute."""
    _, left = await asyncio.to_thread(psutil.wait_procs, processes, timeout=DEADLINE_S)
    return set(left)


def _is_keeper(process: psutil.Process, *, directory: Path) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return f"--lock={directory / 'lock'}" in process.cmdline()
    return False
