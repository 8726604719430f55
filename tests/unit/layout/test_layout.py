"""The shape of the code is a feature: budgets, names and borders that reviewers would otherwise repeat."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 40
TEST_LINES_MAX = 500
TEST_FUNCTION_LINES_MAX = 60
VAGUE_NAMES = {"utils", "util", "common", "helpers", "helper", "core", "base", "manager", "misc", "service"}

EACH_SERVICE_HAS_ITS_OWN = {"Handlers", "Settings"}
TWICE = {
    "Answer",
    "Authentication",
    "EventTooLargeError",
    "NewVersion",
    "PartDocument",
    "TransitionDocument",
    "TransitionPage",
}
"""The names of public classes that stand for two things. The set only shrinks."""

PRODUCT = sorted(
    file
    for top in ("libs", "services", "examples", "benchmarks")
    for file in (ROOT / top).rglob("*.py")
    if ".venv" not in file.parts
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


def functions_of(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement behind the docstring to the last; a signature is no work to read."""
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - statements[0].lineno + 1 if statements else 0


@pytest.mark.parametrize("file", PRODUCT, ids=named)
def test_a_module_fits_its_budget(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MODULE_LINES_MAX, "make two rooms with names"


@pytest.mark.parametrize("file", TESTS, ids=named)
def test_a_test_file_fits_its_budget(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= TEST_LINES_MAX, "make two rooms with names"


def long_functions_of(file: Path, *, lines_max: int) -> dict[str, int]:
    return {
        function.name: lines
        for function in functions_of(file)
        # `build_app` is the map of a service: what is opened, in order.
        if not function.name.startswith("build_") and (lines := body_lines(function)) > lines_max
    }


@pytest.mark.parametrize("file", PRODUCT, ids=named)
def test_a_function_fits_its_budget(file: Path) -> None:
    assert long_functions_of(file, lines_max=FUNCTION_LINES_MAX) == {}


@pytest.mark.parametrize("file", TESTS, ids=named)
def test_a_test_function_fits_its_budget(file: Path) -> None:
    assert long_functions_of(file, lines_max=TEST_FUNCTION_LINES_MAX) == {}


@pytest.mark.parametrize("file", PRODUCT, ids=named)
def test_a_module_is_named_for_what_it_holds(file: Path) -> None:
    assert file.stem not in VAGUE_NAMES
    assert VAGUE_NAMES.isdisjoint(file.relative_to(ROOT).parts[:-1])


@pytest.mark.parametrize("file", PRODUCT, ids=named)
def test_a_module_says_its_one_idea(file: Path) -> None:
    tree = ast.parse(file.read_text())

    assert not tree.body or ast.get_docstring(tree), "begin with a docstring"


def test_rules_are_pure() -> None:
    rules = [file for file in PRODUCT if "domain" in file.relative_to(ROOT).parts or file.stem == "domain"]
    impure = [
        f"{named(file)}:{node.lineno}"
        for file in rules
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Await | ast.AsyncFunctionDef)
        or (isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "uuid4", "uuid7"})
    ]

    assert rules
    assert impure == []


def test_time_chance_and_identity_are_chosen_in_one_place() -> None:
    """`clock` and `ids` are where the product asks for the time and for a new name."""
    asked = {"datetime.now", "datetime.utcnow", "uuid.uuid4", "uuid_utils.uuid7", "time.time"}
    homes = {"libs/runtime/modelyard_runtime/clock.py", "libs/runtime/modelyard_runtime/ids.py"}
    strays = [
        f"{named(file)}:{node.lineno}"
        for file in PRODUCT
        if named(file).startswith(("libs/", "services/"))
        and named(file) not in homes
        and not named(file).startswith("libs/stack/")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and f"{node.value.id}.{node.attr}" in asked
    ]

    assert strays == []


def test_a_public_class_name_stands_for_one_thing() -> None:
    """A new class takes a name that no other class has. Whoever renames one of `TWICE` takes its name out."""
    homes = defaultdict(list)
    for file in PRODUCT:
        if named(file).startswith(("libs/", "services/")):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes[node.name].append(named(file))
    doubled = {name: files for name, files in homes.items() if len(files) > 1}

    assert {name: files for name, files in doubled.items() if name not in TWICE | EACH_SERVICE_HAS_ITS_OWN} == {}
    assert TWICE - doubled.keys() == set(), "it stands for one thing now: take the name out of TWICE"
