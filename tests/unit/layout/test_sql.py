"""What SQL may say in the registry: each rule about rows has one home."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REGISTRY = Path(__file__).parents[3] / "services" / "registry" / "modelyard_registry"


def _sources() -> Iterator[tuple[str, str]]:
    for path in sorted(REGISTRY.rglob("*.py")):
        yield path.relative_to(REGISTRY).as_posix(), path.read_text()


def _files_with(pattern: str) -> list[str]:
    return [name for name, source in _sources() if re.search(pattern, source)]


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (r"stage\b[^\n]*['{]canary", "ROUTABLE_STAGES and ROUTED_STAGES of routes/domain.py"),
        (r"environment = 'production'", "ROUTED_ENVIRONMENT of routes/domain.py"),
        (r"alias = 'champion'", "CHAMPION of routes/champion_history.py"),
        (r"jsonb_to_recordset\([^)]*variants", "the view experiment_variants, of the migrations"),
    ],
)
def test_sql_repeats_no_rule_that_has_a_home(pattern: str, home: str) -> None:
    assert not _files_with(pattern), f"take it from {home}"


LOCKS = "models/locks.py"
_LOCKING = re.compile(r"\bFOR (NO KEY )?(UPDATE|SHARE)\b")


def test_registered_models_are_locked_in_one_file() -> None:
    statements = [(name, text) for name, text in _texts() if _LOCKING.search(text) and "registered_models" in text]

    assert statements
    assert {name for name, _ in statements} == {LOCKS}


def test_every_lock_has_its_place_in_the_order_of_locks() -> None:
    order = ast.get_docstring(ast.parse((REGISTRY / LOCKS).read_text())) or ""

    locked = {table for name, text in _texts() if _LOCKING.search(text) for table in re.findall(r"\bFROM (\w+) ", text)}

    assert "registered_models" in locked
    assert [table for table in sorted(locked) if f"`{table}`" not in order] == []


def test_advisory_locks_are_taken_in_these_files_only() -> None:
    taking = {name.rpartition("/")[2] for name, text in _texts() if "pg_advisory" in text or "pg_try_advisory" in text}

    assert taking == {"bootstrap.py", "database.py", "idempotency.py", "leadership.py"}


def _texts() -> Iterator[tuple[str, str]]:
    """Every text in the registry's code but docstrings, with its file; what is filled in is left out."""
    for name, source in _sources():
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = (each.value if isinstance(each, ast.Constant) else "{}" for each in node.values)
                yield name, "".join(str(part) for part in parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield name, node.value
