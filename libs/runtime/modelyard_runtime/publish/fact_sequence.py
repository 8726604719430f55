"""The numbers that a source of facts gives out, remembered where a killed process leaves them.

With a directory, the counter is memory that the kernel keeps as a file: a number costs no system call, and
what was given out when the process died is known to the next one, which goes on counting under the same
name. So facts that were lost with the process show as a gap. After a crash of the machine itself the file may
be behind; then the next process takes a new name, and no number is ever given out twice.
"""

import fcntl
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

from modelyard_runtime.ids import NewId

_NAME_BYTES = 36
_COUNTER = struct.Struct("<Q")
_BOOT_BYTES = 36
_SIZE = _NAME_BYTES + _COUNTER.size + _BOOT_BYTES
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class FactSequence(Protocol):
    """A source's name, and its next number."""

    @property
    def instance(self) -> str:
        """Names whoever counts; a number means nothing without it."""
        ...

    def take(self) -> int:
        """The next number, from 1, never given out before under this name."""
        ...


class SequenceInUseError(Exception):
    """Another process counts in this directory."""


class MemorySequence:
    """Counts for one process: a later one has another name."""

    def __init__(self, *, new_id: NewId) -> None:
        self.instance = new_id()
        self.take = count(1).__next__


class KeptSequence:
    """Counts in a file that outlives the process."""

    def __init__(self, memory: mmap.mmap, *, new_id: NewId) -> None:
        self._memory = memory
        boot = _boot_id()
        if memory[_NAME_BYTES + _COUNTER.size :] != boot:
            memory[:_NAME_BYTES] = new_id().encode()
            _COUNTER.pack_into(memory, _NAME_BYTES, 0)
            memory[_NAME_BYTES + _COUNTER.size :] = boot
        self.instance = memory[:_NAME_BYTES].decode()
        self._last: int = _COUNTER.unpack_from(memory, _NAME_BYTES)[0]

    def take(self) -> int:
        """The next number, from 1, never given out before under this name."""
        self._last += 1
        _COUNTER.pack_into(self._memory, _NAME_BYTES, self._last)
        return self._last


@contextmanager
def fact_sequence(directory: Path | None, *, new_id: NewId) -> Iterator[FactSequence]:
    """A sequence kept in `directory`, or in memory when there is none.

    Raises SequenceInUseError when another process counts there.
    """
    if directory is None:
        yield MemorySequence(new_id=new_id)
        return
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "facts.sequence").open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SequenceInUseError(f"another process counts in {directory}; give this one its own") from error
        file.truncate(_SIZE)
        with mmap.mmap(file.fileno(), _SIZE) as memory:
            yield KeptSequence(memory, new_id=new_id)


def _boot_id() -> bytes:
    """Which run of the machine this is. Where nobody says, every process is taken for a new one."""
    try:
        return _BOOT_ID.read_bytes()[:_BOOT_BYTES].ljust(_BOOT_BYTES)
    except OSError:
        return b"?" * _BOOT_BYTES
