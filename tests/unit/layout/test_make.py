"""What a developer's commands promise: nothing is deleted without being named; CI tries what the classifiers say."""

import fcntl
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYPROJECTS = sorted(
    {ROOT / "pyproject.toml", *ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml")}
)
TRIED = re.search(r"for wanted in ([\d. ]+);", (ROOT / ".ci" / "run").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the Makefile, an environment and the data of `make up`."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".modelyard" / "stack").mkdir(parents=True)
    (tmp_path / ".modelyard" / "stack" / "lock").touch()
    return tmp_path


def make(target: str, place: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"]}
    return subprocess.run(["make", target], cwd=place, env=environment, capture_output=True, text=True, check=False)


def test_clean_keeps_the_data_of_up_and_says_so(place: Path) -> None:
    cleaned = make("clean", place)

    assert cleaned.returncode == 0
    assert not (place / ".venv").exists()
    assert (place / ".modelyard").exists()
    assert "make clean-data" in cleaned.stdout


def test_clean_data_removes_them_and_says_so(place: Path) -> None:
    assert "Removed .modelyard." in make("clean-data", place).stdout
    assert not (place / ".modelyard").exists()


def test_clean_data_removes_nothing_below_a_system_that_runs(place: Path) -> None:
    with open(place / ".modelyard" / "stack" / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        refused = make("clean-data", place)

    assert refused.returncode != 0
    assert "running" in refused.stderr
    assert (place / ".modelyard").exists()


def test_the_help_lists_every_target_that_a_person_calls(place: Path) -> None:
    listed = make("help", place).stdout
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert [each for each in targets if f"make {each} " not in listed] == ["distributions"]


@pytest.mark.parametrize("file", PYPROJECTS, ids=lambda file: file.parent.name)
def test_the_classifiers_are_the_pythons_that_ci_tries(file: Path) -> None:
    project = tomllib.loads(file.read_text())["project"]

    assert TRIED is not None
    tried = [f"Programming Language :: Python :: {version}" for version in TRIED[1].split()]
    assert project["classifiers"] == tried
    assert project["requires-python"] == f">={TRIED[1].split()[0]}"
