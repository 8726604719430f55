"""A source's numbers are gapless, outlive the process that gave them, and are never given twice."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.publish.fact_sequence import SequenceInUseError, fact_sequence

COUNT_AND_DIE = """
import os, signal, sys
from pathlib import Path
from modelyard_runtime.publish.fact_sequence import fact_sequence
from modelyard_runtime.ids import new_uuid7

with fact_sequence(Path(sys.argv[1]), new_id=new_uuid7) as sequence:
    for _ in range(1_000):
        sequence.take()
    print(sequence.instance, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("is_kept", [True, False])
def test_numbers_begin_with_one_and_leave_none_out(tmp_path: Path, is_kept: bool) -> None:
    with fact_sequence(tmp_path if is_kept else None, new_id=new_uuid7) as sequence:
        taken = [sequence.take() for _ in range(5)]

    assert taken == [1, 2, 3, 4, 5]


def test_a_killed_process_leaves_its_name_and_its_count(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", COUNT_AND_DIE, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )

    with fact_sequence(tmp_path, new_id=new_uuid7) as sequence:
        name, number = sequence.instance, sequence.take()

    assert killed.returncode == -signal.SIGKILL
    assert (name, number) == (killed.stdout.strip(), 1_001)


def test_after_a_crash_of_the_machine_the_source_has_a_new_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fact_sequence(tmp_path, new_id=new_uuid7) as before:
        before.take()
    monkeypatch.setattr(
        "modelyard_runtime.publish.fact_sequence._boot_id", lambda: b"another run of the machine".ljust(36)
    )

    with fact_sequence(tmp_path, new_id=new_uuid7) as after:
        number = after.take()

    assert after.instance != before.instance
    assert number == 1


def test_two_processes_never_count_in_one_directory(tmp_path: Path) -> None:
    with (
        fact_sequence(tmp_path, new_id=new_uuid7),
        pytest.raises(SequenceInUseError),
        fact_sequence(tmp_path, new_id=new_uuid7),
    ):
        pass


def test_without_a_directory_each_process_has_a_name_of_its_own() -> None:
    with (
        fact_sequence(None, new_id=new_uuid7) as one,
        fact_sequence(None, new_id=new_uuid7) as other,
    ):
        assert one.instance != other.instance
