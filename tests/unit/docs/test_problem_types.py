"""Callers tell errors apart by their codes: none vanishes, changes its status or stays without a word."""

import re
from pathlib import Path

import pytest
from modelyard_runtime.problems import ConflictError, ProblemError

from tests.reference_pages import PROBLEMS, problems_in

RECORD = Path(__file__).with_name("recorded_problems.txt")
RECORDED = RECORD.read_text().splitlines()
DECLARED = {package: problems_in(package) for package in PROBLEMS}
LINES = {f"{package} {each.code} {each.status}" for package, several in DECLARED.items() for each in several}
EVERY = [each for several in DECLARED.values() for each in several]


@pytest.mark.parametrize("line", RECORDED)
def test_a_problem_type_that_callers_know_keeps_its_code_and_status(line: str) -> None:
    package, code, status = line.split()
    found = {each.code: each.status for each in DECLARED[package]}

    assert code in found, f"callers of {package} know /problems/{code}: a class may be renamed, its `code` may not"
    assert found[code] == int(status), f"callers know that {code} has the status {status}"


def test_every_problem_type_is_recorded_once() -> None:
    new = sorted(LINES - set(RECORDED))

    assert new == [], f"add these lines to {RECORD.name}, so that the codes stay"
    assert sorted(set(RECORDED)) == RECORDED


def test_a_code_means_the_same_wherever_it_is_answered() -> None:
    statuses: dict[str, set[int]] = {}
    for each in EVERY:
        statuses.setdefault(each.code, set()).add(each.status)

    assert {code: several for code, several in statuses.items() if len(several) > 1} == {}


@pytest.mark.parametrize("package", PROBLEMS)
def test_a_service_has_one_class_for_a_code(package: str) -> None:
    codes = [each.code for each in DECLARED[package]]

    assert sorted(set(codes)) == codes


@pytest.mark.parametrize("problem", EVERY, ids=lambda each: each.code)
def test_a_problem_type_explains_itself(problem: type[ProblemError]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", problem.code)
    assert problem.__doc__, "the docstring is the title"
    for sentence in (problem.when, problem.fix):
        assert "\n" not in sentence
        assert "|" not in sentence, "it would end a cell of the table"
    assert problem.when.endswith(".")
    assert {"when", "fix"} <= vars(problem).keys(), "say when it is answered and what helps, not what the parent says"


def test_the_shadow_worker_answers_only_what_all_services_answer() -> None:
    assert problems_in("modelyard_shadow_worker") == []


def test_a_problem_type_must_state_its_code() -> None:
    with pytest.raises(TypeError, match="UnnamedError needs a `code` of its own"):

        class UnnamedError(ConflictError):
            """It has no code."""


def test_the_general_fix_is_answered_where_a_request_needs_no_other() -> None:
    assert ProblemError("It failed.").body()["fix"] == ProblemError.fix
    assert ProblemError("It failed.", fix="Wait.").body()["fix"] == "Wait."
