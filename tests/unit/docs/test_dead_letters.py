"""The page about dead letters knows every reason that the code gives, and every header."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from modelyard_registry.models import domain, store
from modelyard_registry.projects import domain as projects
from modelyard_registry.registration import command, feature_differences, repeated
from modelyard_registry.registration import domain as registration
from modelyard_registry.transactions import outbox_rows
from modelyard_runtime.consume import dead_letters
from modelyard_runtime.problems import ProblemError

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "how-to" / "read-dead-letters.md").read_text()
REASONS = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|([^|]*)\|[^|]*\|$", PAGE.split("## Why")[1], re.M))))
SOURCES = [each for part in ("libs", "services") for each in (ROOT / part).rglob("*.py")]
NOT_OF_KAFKA = {
    "fetch_refused": "an endpoint's answer, which its caller handles",
    "answer_too_large": "an endpoint's answer, which its caller handles",
    "registered_model_exists": "creating a model, which no event does",
    "project_exists": "creating a project, which no event does",
    "version_reference_invalid": "a path of HTTP, which no event has",
    "model_version_not_found": "a path of HTTP, which no event has",
}
REGISTRATION = (command, domain, feature_differences, outbox_rows, projects, registration, repeated, store)


def test_every_reason_that_the_code_gives_is_on_the_page() -> None:
    given = {reason for source in SOURCES for reason in _reasons_in(ast.parse(source.read_text()))}
    given |= {_reason_of(error) for module in REGISTRATION for error in _problems_of(vars(module), module.__name__)}

    assert {"json_invalid", "sender_unproved", "wrong_topic", "handler_failed", "semver_taken"} <= given
    assert given - NOT_OF_KAFKA.keys() - REASONS == set()


def test_the_page_names_no_reason_that_nobody_gives() -> None:
    code = "\n".join(source.read_text() for source in SOURCES)
    problems = {_reason_of(error) for module in REGISTRATION for error in _problems_of(vars(module), module.__name__)}

    assert {reason for reason in REASONS - problems if f'"{reason}"' not in code} == set()


def test_every_header_of_a_dead_letter_is_on_the_page() -> None:
    tree = ast.parse(Path(dead_letters.__file__).read_text())
    added = next(
        each.value
        for each in ast.walk(tree)
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "added" and isinstance(each.value, ast.Dict)
    )
    names = {f"{dead_letters.PREFIX}{ast.literal_eval(key)}" for key in added.keys if key is not None}

    assert len(names) == 10
    assert {name for name in names | {dead_letters.CUT_HEADER} if f"`{name}`" not in PAGE} == set()


def _reasons_in(tree: ast.Module) -> Iterator[str]:
    """The codes that a module gives to `Poison`, `PermanentError`, `failed` or a constant of theirs."""
    constants = {
        ast.unparse(each.targets[0]): each.value.value
        for each in tree.body
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant) and isinstance(each.value.value, str)
    }
    is_super_permanent = {
        id(call)
        for each in ast.walk(tree)
        if isinstance(each, ast.ClassDef) and "PermanentError" in map(ast.unparse, each.bases)
        for call in ast.walk(each)
    }
    for call in (each for each in ast.walk(tree) if isinstance(each, ast.Call)):
        name = ast.unparse(call.func).rpartition(".")[2]
        if name in ("Poison", "_PoisonError", "failed"):
            codes = call.args[:1]
        elif name == "PermanentError" or id(call) in is_super_permanent:
            codes = [each.value for each in call.keywords if each.arg == "reason"]
        else:
            continue
        for code in codes:
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                yield code.value
            elif ast.unparse(code) in constants:
                yield constants[ast.unparse(code)]
    yield from (value for name, value in constants.items() if name == "HANDLER_FAILED")


def _problems_of(names: dict[str, object], module: str) -> Iterator[type[ProblemError]]:
    for found in names.values():
        if isinstance(found, type) and issubclass(found, ProblemError) and found.__module__ == module:
            yield found


def _reason_of(error: type[ProblemError]) -> str:
    return error("", fix="").code.replace("-", "_")
