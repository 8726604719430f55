"""The commands of the documents are tried as a reader tries them: pasted, in order, beside a running `make up`.

A block that cannot run says why behind its fence: ```sh no-run: it needs a broker with an authorizer
"""

import asyncio
import os
import re
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

ROOT = Path(__file__).parents[2]
STARTED_WITHIN_S = 280
DONE_WITHIN_S = 120
FENCE = re.compile(r"^(?P<indent> *)```sh(?P<said>[^\n]*)\n(?P<code>.*?)^ *```$", re.DOTALL | re.MULTILINE)
NO_RUN = re.compile(r" no-run: \S.*")
SAFE = "set -euo pipefail\n"
NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="the commands of the documents need curl")


@dataclass(frozen=True, slots=True)
class Block:
    """Commands of a document; `why_not` says why they are not run."""

    page: Path
    code: str
    why_not: str


def blocks_of(page: Path) -> list[Block]:
    """The blocks of shell commands on a page, in order."""
    found = []
    for match in FENCE.finditer(page.read_text()):
        indent = len(match["indent"])
        code = "\n".join(line[indent:] for line in match["code"].splitlines())
        found.append(Block(page, code, match["said"].strip()))
    return found


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_COMMANDS = [page for page in PAGES if any(not block.why_not for block in blocks_of(page))]


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """A directory like the reader's, in which `make up` has been started and has printed its commands."""
    place = tmp_path_factory.mktemp("reader")
    (place / ".venv").symlink_to(sys.prefix)
    up = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "modelyard_examples.up", "--directory", str(place / ".modelyard")),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert up.stdout is not None
    told = b""
    try:
        async with asyncio.timeout(STARTED_WITHIN_S):
            while b"Ctrl-C stops everything" not in told:
                line = await up.stdout.readline()
                assert line, told.decode(errors="replace")
                told += line
        draining = asyncio.create_task(up.stdout.read())
        yield place
    finally:
        if up.returncode is None:
            up.send_signal(signal.SIGINT)
        await up.wait()
    await draining


@NEEDS_CURL
@pytest.mark.timeout(450)
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
async def test_the_commands_of_a_page_run_beside_make_up(place: Path, page: Path) -> None:
    code = "\n".join(block.code for block in blocks_of(page) if not block.why_not)

    status, told = await run(place, code)

    assert status == 0, told[-3_000:]
    if page.name == "README.md":
        answer = told.strip().splitlines()[-1]
        assert '"model":"first"' in answer.replace(" ", "")
        assert '"number":1' in answer.replace(" ", "") or '"version":1' in answer.replace(" ", "")


async def run(place: Path, code: str) -> tuple[int | None, str]:
    """The exit code of commands in the reader's shell, and what they said."""
    shell = await asyncio.create_subprocess_exec("bash", "-c", SAFE + code, cwd=place, stdout=PIPE, stderr=STDOUT)
    async with asyncio.timeout(DONE_WITHIN_S):
        told, _ = await shell.communicate()
    return shell.returncode, told.decode(errors="replace")


@NEEDS_CURL
@pytest.mark.timeout(450)
async def test_the_routers_own_example_is_answered_beside_make_up(place: Path) -> None:
    code, told = await run(
        place,
        """
        . .modelyard/environment.sh
        curl --fail-with-body -sS "$ROUTER/openapi.json" > document.json
        .venv/bin/python -c 'import json
body = json.load(open("document.json"))["paths"]["/v1/route"]["post"]["requestBody"]["content"]["application/json"]
examples = [each["value"] for each in body.get("examples", {}).values()]
print(json.dumps(body.get("example") or examples[0]))' > example.json
        curl --fail-with-body -sS --retry 10 --retry-all-errors -H "$AUTH" "$ROUTER/v1/route" -d @example.json
        """,
    )

    assert code == 0, told
    assert '"receipt"' in told


def test_every_block_that_is_not_run_says_why() -> None:
    silent = [
        block for page in PAGES for block in blocks_of(page) if block.why_not and not NO_RUN.match(f" {block.why_not}")
    ]

    assert silent == []


def test_the_readme_is_among_the_pages_that_run() -> None:
    assert ROOT / "README.md" in WITH_COMMANDS
