"""ARCHITECTURE.md has one line for every package, so that a newcomer finds where a thing lives."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def packages() -> set[str]:
    """Each package by its folder, without the folder that is named after its distribution."""
    homes = (file.parent for top in ("libs", "services", "examples") for file in (ROOT / top).rglob("__init__.py"))
    return {re.sub(r"/modelyard_\w+", "", str(home.relative_to(ROOT))) for home in homes if ".venv" not in home.parts}


def test_the_index_has_one_line_for_every_package() -> None:
    section = (ROOT / "ARCHITECTURE.md").read_text().split("## Packages")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `((?:libs|services|examples)[\w/]*)` \|", section, re.MULTILINE)

    assert len(listed) == len(set(listed))
    assert packages() - set(listed) == set(), "add a line to ARCHITECTURE.md, section Packages"
    assert set(listed) - packages() == set(), "the package is gone: take its line out of ARCHITECTURE.md"
