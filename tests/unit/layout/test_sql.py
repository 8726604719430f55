"""What SQL may say in the registry: each rule about rows has one home."""

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
