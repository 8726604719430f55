"""What `make mutants` changes, and that its list names what is there."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.mutants.live_code import code_of
from tests.mutants.modules import EQUIVALENT, MODULES
from tests.mutants.operators import changes_of

ROOT = Path(__file__).parents[3]

RULE = """
def may(self, at: int = 3) -> "bool | None":
    if not self.open or at >= self.end:
        raise ValueError(f"it is over at {at + 1}")
    return self.names[at - 1] in {name for name in self.others if name}
"""


def test_each_place_of_a_rule_is_changed_by_itself() -> None:
    assert [(change.before, change.after) for change in changes_of(RULE)] == [
        ("not self.open or at >= self.end", "not self.open and at >= self.end"),
        ("not self.open", "self.open"),
        ("at >= self.end", "at > self.end"),
        ("at >= self.end", "at < self.end"),
        ("raise ValueError(f'it is over at {at + 1}')", "pass"),
        ("self.names[at - 1] in {name for name in self.others if name}", "None"),
        (
            "self.names[at - 1] in {name for name in self.others if name}",
            "self.names[at - 1] not in {name for name in self.others if name}",
        ),
        ("at - 1", "at + 1"),
        ("1", "2"),
        ("name", "not name"),
    ]


def test_a_change_leaves_the_rest_of_the_module_as_it_is() -> None:
    source = "class Rule:\n    def first(self): return 1\n\n    def second(self): return 1\n"
    change = next(each for each in changes_of(source) if each.name == "Rule.second: 1 -> 2")

    assert 2 in code_of(change.tree, function="Rule.second", filename="rule.py").co_consts
    assert 2 not in code_of(change.tree, function="Rule.first", filename="rule.py").co_consts


@pytest.mark.parametrize("module", MODULES)
def test_the_modules_and_their_tests_are_there(module: str) -> None:
    assert find_spec(module) is not None
    assert [tests for tests in MODULES[module] if not (ROOT / tests).exists()] == []


@pytest.mark.parametrize("module", EQUIVALENT)
def test_an_excluded_change_can_still_be_made(module: str) -> None:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None

    names = {change.name for change in changes_of(Path(spec.origin).read_text())}

    assert [name for name in EQUIVALENT[module] if name not in names] == []
