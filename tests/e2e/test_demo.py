"""The demo tells the whole main job, and every claim in it holds."""

import asyncio
import os
import sys

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

DEADLINE_S = 280
LOANS = "400"


@pytest.mark.timeout(300)
async def test_every_claim_of_the_demo_holds() -> None:
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "modelyard_examples.demo", "--loans", LOANS),
        env={**os.environ, "COLUMNS": "120"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )

    async with asyncio.timeout(DEADLINE_S):
        told, _ = await demo.communicate()

    story = told.decode()
    assert demo.returncode == 0, story
    assert "What was proved" in story
    assert "✘" not in story
