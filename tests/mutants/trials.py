"""Tries each mutant: pytest collects the tests once, and a child process runs those that call the changed function."""

import gc
import os
import pickle
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType

import pytest

from tests.mutants.live_code import code_of, live_functions
from tests.mutants.operators import Change, changes_of

SECONDS_MAX = 20
"""A mutant that runs longer is stuck in a loop; that counts as killed."""

TEST_FAILED, RUNNER_FAILED = 1, 2
"""How a child process exits."""

FunctionName = tuple[str, str]
"""The name of a module and the qualified name of a function in it."""
Calls = dict[FunctionName, dict[str, float]]
"""The ids of the tests that call each function, and how many seconds each test takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One mutant, and whether a test failed because of it."""

    module: str
    change: Change
    is_killed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A mutant that waits for its trial. `run` returns when no test fails and exits otherwise."""

    module: str
    change: Change
    run: Callable[[], None]


@dataclass
class Trials:
    """A pytest plugin. It replaces the loop that runs the tests: it tries each mutant of the modules with `names`.

    `excluded` names changes that are not tried, by module. Afterwards `done` has the trials, or `failed` the tests
    that fail without any change.
    """

    names: Sequence[str]
    excluded: Mapping[str, frozenset[str]]
    done: list[Trial] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def pytest_configure(self) -> None:
        """Lets hypothesis draw few examples, always the same ones, and not search for the smallest failing one."""
        # Not at the top of the file: pytest warns when one of its plugins was imported before it could rewrite it.
        from hypothesis import Phase, settings

        phases = [Phase.explicit, Phase.generate]
        settings.register_profile(
            "mutants", derandomize=True, max_examples=20, database=None, deadline=None, phases=phases
        )
        settings.load_profile("mutants")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Tries all mutants. pytest calls it after it has collected the tests."""
        modules = {name: import_module(name) for name in self.names}
        # The children share the parent's memory until a collection writes into it.
        gc.collect()
        gc.freeze()
        calls = _result_of_child(partial(_calls_of, session.items, modules))
        if isinstance(calls, list):
            self.failed = calls
        else:
            self.done = list(_in_parallel(self._attempts(modules, _tests_by_function(session.items, calls))))
        return True

    def _attempts(
        self, modules: Mapping[str, ModuleType], tests: Mapping[FunctionName, Sequence[pytest.Item]]
    ) -> Iterator[Attempt]:
        for name, module in modules.items():
            functions = live_functions(module)
            for change in changes_of(_file_of(module).read_text()):
                if change.name in self.excluded.get(name, ()):
                    continue
                code = code_of(change.tree, function=change.function, filename=str(_file_of(module)))
                items = tests.get((name, change.function), ())
                run = partial(_run_with, functions[change.function], code, items)
                yield Attempt(module=name, change=change, run=run)


def _tests_by_function(items: Sequence[pytest.Item], calls: Calls) -> dict[FunctionName, list[pytest.Item]]:
    """The tests to run for a change of each function: quick ones first."""
    by_id = {item.nodeid: item for item in items}
    order = {item.nodeid: index for index, item in enumerate(items)}
    return {
        # Tests that take about as long stay in their order, so that fixtures of modules are set up once.
        function: [by_id[test] for test in sorted(seconds, key=lambda test: (round(seconds[test], 1), order[test]))]
        for function, seconds in calls.items()
    }


def _calls_of(items: Sequence[pytest.Item], modules: Mapping[str, ModuleType]) -> Calls | list[str]:
    """Runs all tests. Returns which functions each of them calls, or the tests that fail."""
    names = {str(_file_of(module)): name for name, module in modules.items()}
    calls: Calls = defaultdict(dict)
    failures = _Failures()
    items[0].config.pluginmanager.register(failures)
    for item, following in _with_following(items):
        called: set[FunctionName] = set()
        started = time.perf_counter()
        with _collecting_calls(called, names):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        for function in called:
            calls[function][item.nodeid] = time.perf_counter() - started
    return failures.tests or dict(calls)


@contextmanager
def _collecting_calls(called: set[FunctionName], names: Mapping[str, str]) -> Iterator[None]:
    def notice(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (name := names.get(frame.f_code.co_filename)) is not None:
            called.add((name, frame.f_code.co_qualname.split(".<locals>")[0]))

    sys.setprofile(notice)
    try:
        yield
    finally:
        sys.setprofile(None)


@dataclass
class _Failures:
    tests: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.tests.append(report.nodeid)


class _ExitAtFailure:
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os._exit(TEST_FAILED)


def _run_with(function: FunctionType, code: CodeType, items: Sequence[pytest.Item]) -> None:
    function.__code__ = code
    if items:
        items[0].config.pluginmanager.register(_ExitAtFailure())
    for item, following in _with_following(items):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def _with_following(items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    return zip_longest(items, items[1:])


def _in_parallel(attempts: Iterator[Attempt]) -> Iterator[Trial]:
    running: dict[int, Attempt] = {}
    for attempt in attempts:
        if len(running) >= (os.cpu_count() or 1):
            yield _next_ended(running)
        running[_child_that(attempt.run)] = attempt
    while running:
        yield _next_ended(running)


def _next_ended(running: dict[int, Attempt]) -> Trial:
    child, status = os.wait()
    attempt = running.pop(child)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == RUNNER_FAILED:
        raise RuntimeError(f"The runner itself failed with {attempt.module}, {attempt.change.name}.")
    return Trial(module=attempt.module, change=attempt.change, is_killed=status != 0)


def _child_that(run: Callable[[], None]) -> int:
    """Starts a child process; it exits with 0 if `run` returns. Returns its id."""
    child = os.fork()
    if child:
        return child
    signal.alarm(SECONDS_MAX)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    try:
        run()
    except BaseException:
        os._exit(RUNNER_FAILED)
    os._exit(0)


def _result_of_child(work: Callable[[], Calls | list[str]]) -> Calls | list[str]:
    """What `work` returns in a child process, so that the tests leave nothing behind in this one."""
    reading, writing = os.pipe()

    def run() -> None:
        signal.alarm(0)
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(work(), pipe)

    child = _child_that(run)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        raw = pipe.read()
    os.waitpid(child, 0)
    result: Calls | list[str] = pickle.loads(raw)
    return result


def _file_of(module: ModuleType) -> Path:
    return Path(str(module.__file__))
