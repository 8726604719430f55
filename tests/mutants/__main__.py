"""`make mutants`: changes one thing after another in the rules, and prints which changes no unit test notices."""

import sys
from collections.abc import Sequence

import pytest

from tests.mutants.modules import EQUIVALENT, MODULES
from tests.mutants.trials import Trial, Trials

KILLED_MIN = 0.95
OPTIONS = ("-o", "addopts=--import-mode=importlib", "-p", "no:terminal", "-p", "no:cacheprovider")


def main(wanted: Sequence[str]) -> int:
    """Tries the mutants of all modules, or of those whose names contain one of `wanted`. Returns the exit code."""
    names = [name for name in MODULES if not wanted or any(part in name for part in wanted)]
    tests = dict.fromkeys(each for name in names for each in MODULES[name])
    trials = Trials(names, {name: frozenset(EQUIVALENT.get(name, ())) for name in names})
    exit_code = pytest.main([*OPTIONS, *tests], plugins=[trials])
    if trials.failed or not trials.done:
        print(f"The tests fail without any change (pytest: {exit_code!r}):", *trials.failed, sep="\n  ")
        return 1
    for trial in trials.done:
        if not trial.is_killed:
            print(f"survived  {trial.module}:{trial.change.line}  {trial.change.name}")
    return _table_of(names, trials.done)


def _table_of(names: Sequence[str], done: Sequence[Trial]) -> int:
    """Prints the table. Returns 1 when too many mutants of a module survived."""
    print(f"\n{'module':50}{'mutants':>9}{'killed':>8}{'survived':>10}")
    enough = True
    for name in names:
        of_module = [trial for trial in done if trial.module == name]
        killed = sum(trial.is_killed for trial in of_module)
        is_enough = killed >= KILLED_MIN * len(of_module)
        note = "" if is_enough else f"  less than {KILLED_MIN:.0%} killed"
        print(f"{name:50}{len(of_module):9}{killed:8}{len(of_module) - killed:10}{note}")
        enough = enough and is_enough
    killed = sum(trial.is_killed for trial in done)
    print(f"{'all':50}{len(done):9}{killed:8}{len(done) - killed:10}")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
