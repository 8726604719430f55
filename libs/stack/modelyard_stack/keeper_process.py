"""The process that starts the stack's servers, and outlives whoever asked for them while it stops them.

It is run as a script of its own, with the standard library alone, so that it starts in milliseconds and
cannot break with anything else. Requests come as JSON lines on standard input; each gets one JSON line on
standard output. When the input ends, for whatever reason (closed, parent finished, parent killed with
SIGKILL), it stops every server and removes what it was told to remove. So there is one way to stop, and it is
taken every time.
"""

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

STOP_GRACE_S = 20.0
STRAYS_GRACE_S = 10.0
PARENT_CHECK_S = 1.0
LOCK_STOPPING_WAIT_S = 45.0
LOCK_RUNNING_WAIT_S = 2 * PARENT_CHECK_S  # Its parent may have been killed, and it not know yet.
RUNNING = "running"
STOPPING = "stopping"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

Request = dict[str, Any]


@dataclass(slots=True)
class Child:
    """A process that was started by name; `exit_code` is None while it runs, negative after a signal."""

    pid: int
    final_signal: int
    exit_code: int | None = None


@dataclass(slots=True)
class ProcessKeeper:
    """Starts, signals and reaps processes; knows each by the name it was started under."""

    children: dict[str, Child] = field(default_factory=dict)

    def answer(self, request: Request) -> Request:
        self.reap()
        try:
            match request.pop("do"):
                case "start":
                    return self.start(**request)
                case "signal":
                    return self.signal(**request)
                case "status":
                    return self.status(**request)
                case unknown:
                    return {"error": f"unknown request {unknown!r}"}
        except (OSError, subprocess.SubprocessError) as error:
            return {"error": str(error)}

    def start(
        self,
        *,
        name: str,
        argv: list[str],
        env: dict[str, str],
        cwd: str,
        log: str,
        user: int | None,
        group: int | None,
        final_signal: int,
        orphan_signal: int,
    ) -> Request:
        known = self.children.get(name)
        if known is not None and known.exit_code is None:
            return {"error": f"{name} runs already, as process {known.pid}"}
        self.end_strays()
        with open(log, "ab") as output:
            process = subprocess.Popen(
                argv,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
                start_new_session=True,
                # Safe here: this process has one thread.
                preexec_fn=_die_with_parent(orphan_signal),
            )
        # Reaped by `reap`, together with the orphans, so `subprocess` must not wait for it.
        process.returncode = 0
        self.children[name] = Child(pid=process.pid, final_signal=final_signal)
        return {"pid": process.pid}

    def signal(self, *, name: str, number: int) -> Request:
        """Signal a process; stop, continue and kill reach its descendants too, as a machine's crash would."""
        child = self.children.get(name)
        if child is None or child.exit_code is not None:
            return {"exit_code": None if child is None else child.exit_code}
        family = descendants_of(child.pid) if number in WHOLE_FAMILY else []
        for pid in [child.pid, *family]:
            _send(pid, number)
        self.reap()
        return {"exit_code": child.exit_code}

    def status(self, *, name: str) -> Request:
        child = self.children.get(name)
        if child is None:
            return {"running": False, "exit_code": None}
        return {"running": child.exit_code is None, "exit_code": child.exit_code, "pid": child.pid}

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self.children.values():
                if child.pid == pid and child.exit_code is None:
                    child.exit_code = os.waitstatus_to_exitcode(status)

    def end_strays(self) -> None:
        """End what a server that is gone has left: PostgreSQL does not start beside its earlier backends."""
        running = {child.pid for child in self.running()}
        deadline = time.monotonic() + STRAYS_GRACE_S
        while time.monotonic() < deadline and (strays := set(_children().get(os.getpid(), [])) - running):
            for pid in strays:
                _send(pid, signal.SIGKILL)
            time.sleep(0.005)
            self.reap()

    def stop_all(self) -> None:
        for child in self.running():
            for pid in [child.pid, *descendants_of(child.pid)]:
                _send(pid, signal.SIGCONT)
            _send(child.pid, child.final_signal)
        deadline = time.monotonic() + STOP_GRACE_S
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.01)
            self.reap()
        for child in self.running():
            _send(child.pid, signal.SIGKILL)
            child.exit_code = -signal.SIGKILL
        self.end_strays()

    def running(self) -> list[Child]:
        return [child for child in self.children.values() if child.exit_code is None]


WHOLE_FAMILY = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT}


def serve(keeper: ProcessKeeper, *, parent: int, wakeup: int) -> None:
    """Answer requests until the input ends, the parent is gone or a signal asks to stop."""
    buffer = b""
    while os.getppid() == parent:
        # A copy of the pipe may live on in a fork of the parent: hence the look at its pid every second.
        ready, _, _ = select.select([0, wakeup], [], [], PARENT_CHECK_S)
        keeper.reap()
        if wakeup in ready and set(os.read(wakeup, 4096)) & STOP_SIGNALS:
            return
        if 0 not in ready:
            continue
        received = os.read(0, 65536)
        if not received:
            return
        *lines, buffer = (buffer + received).split(b"\n")
        for line in lines:
            os.write(1, json.dumps(keeper.answer(json.loads(line))).encode() + b"\n")


STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def descendants_of(ancestor: int) -> list[int]:
    """The pids of every process below `ancestor`, nearest first."""
    children = _children()
    found: list[int] = []
    level = [ancestor]
    while level:
        level = [child for pid in level for child in children.get(pid, [])]
        found += level
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", type=int, required=True, help="stop when this process is gone")
    parser.add_argument("--lock", type=Path, required=True, help="held while running")
    parser.add_argument("--remove", type=Path, action="append", default=[], help="to be removed at the end")
    arguments = parser.parse_args()
    wakeup = _listen_to_signals()
    _adopt_orphans()
    keeper = ProcessKeeper()
    try:
        with open(arguments.lock, "a+", encoding="ascii") as lock:
            if not _locked(lock):
                lock.seek(0)
                _report({"error": _runs_already(arguments.lock.parent, note=lock.read())})
                return
            _note(lock, f"{RUNNING} {arguments.parent}")
            _report({"ready": True})
            try:
                serve(keeper, parent=arguments.parent, wakeup=wakeup)
            finally:
                _note(lock, STOPPING)
                keeper.stop_all()
    except BrokenPipeError:
        pass  # The parent died while an answer was on its way to it.
    finally:
        for directory in arguments.remove:
            shutil.rmtree(directory, ignore_errors=True)


def _runs_already(place: Path, *, note: str) -> str:
    parent = note.removeprefix(RUNNING).strip()
    how = f"with Ctrl-C in its terminal or `kill {parent}`" if parent.isdigit() else "with Ctrl-C in its terminal"
    return f"A stack runs in {place} already: stop it {how}, or give another directory."


def _report(message: Request) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _locked(lock: TextIO) -> bool:
    """Whether the lock was had. Waits for a keeper that stops, not for one that runs and has a parent."""
    start = time.monotonic()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            patience_s = LOCK_STOPPING_WAIT_S if lock.read() == STOPPING else LOCK_RUNNING_WAIT_S
            if time.monotonic() - start > patience_s:
                return False
            time.sleep(0.05)
        else:
            return True


def _note(lock: TextIO, text: str) -> None:
    with contextlib.suppress(OSError):  # A full disk must not keep servers from being stopped.
        lock.truncate(0)
        lock.write(text)
        lock.flush()


def _listen_to_signals() -> int:
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    for number in [*STOP_SIGNALS, signal.SIGCHLD]:
        signal.signal(number, lambda _number, _frame: None)
    return readable


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _children() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for pid, parent in _processes():
        children.setdefault(parent, []).append(pid)
    return children


def _processes() -> list[tuple[int, int]]:
    """Every (pid, parent's pid) on this machine."""
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
        rows = [line.split() for line in listing.stdout.splitlines()]
        return [(int(pid), int(parent)) for pid, parent in rows]
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path("/proc", entry, "stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The name, in brackets, may hold anything, brackets too: the fields start after the last one.
        found.append((int(entry), int(stat.rpartition(")")[2].split()[1])))
    return found


def _prctl() -> Callable[[int, int], int] | None:
    if sys.platform != "linux":
        return None
    function: Callable[[int, int], int] = ctypes.CDLL(None).prctl
    return function


def _adopt_orphans() -> None:
    """Become the parent of a killed server's children (PostgreSQL's backends), to be able to end them."""
    prctl = _prctl()
    if prctl is not None:
        prctl(PR_SET_CHILD_SUBREAPER, 1)


def _die_with_parent(number: int) -> Callable[[], None] | None:
    """The second line of defence: if this process itself is killed, the kernel stops the servers."""
    prctl = _prctl()
    keeper = os.getpid()

    def ask_kernel() -> None:
        if prctl is None:
            return
        prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != keeper:
            os._exit(1)

    return ask_kernel


if __name__ == "__main__":
    main()
