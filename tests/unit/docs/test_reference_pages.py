"""What the reference says is what the code does: pages that are made from it are up to date."""

import ast
import re
from pathlib import Path

import pytest

from tests.reference_pages import PAGES, REFERENCE, ROOT

DOCUMENTS = sorted(file for file in ROOT.rglob("*.md") if ".venv" not in file.parts)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (REFERENCE / name).read_text() == PAGES[name](), "python -m tests.reference_pages"


def test_metrics_are_declared_in_modules_of_that_name_only() -> None:
    kinds = {"Counter", "Gauge", "Histogram", "Summary"}
    strays = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for top in ("libs", "services")
        for file in (ROOT / top).rglob("*.py")
        if file.name != "metrics.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds
        if any(isinstance(argument, ast.Constant) and isinstance(argument.value, str) for argument in node.args)
    ]

    assert strays == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_link_leads_somewhere(document: Path) -> None:
    broken = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]

    assert broken == []
