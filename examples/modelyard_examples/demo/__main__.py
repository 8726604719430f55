"""`make demo`: the whole main job in about a minute. The exit code is 0 when every claim held."""

import argparse
import asyncio
import logging
import random
import sys
import time
from contextlib import AsyncExitStack

from modelyard_stack import StackError
from rich.panel import Panel

from modelyard_examples.demo import closing_acts, governing_acts, publishing_acts, serving_acts
from modelyard_examples.demo.screen import Screen
from modelyard_examples.demo.traffic import Loan
from modelyard_examples.demo.waiting import NeverHappenedError
from modelyard_examples.demo.world import World, running_world
from modelyard_examples.loans import loan_records
from modelyard_examples.recipes import CREDIT_CARD_V1, DEBT_CONSOLIDATION_V1, DEBT_CONSOLIDATION_V2
from modelyard_examples.registry_client import RegistryError
from modelyard_examples.router_client import RouterError

LOANS = 1_000
SEED = 20_260_303

INTRODUCTION = """\
[bold]Modelyard[/] governs models, decides which one answers, and proves what happened.
Four services, started here as four processes, speak through Kafka alone. What follows is real:
Apache Kafka, PostgreSQL, Valkey, models trained a moment ago on 10,000 real loans, thousands of requests."""

NEXT_STEPS = """\
make up                            keep this system running, with commands to paste
README.md                          the picture of the event flow
docs/reference/topics.md           every event, who sends it and who reads it
examples/modelyard_examples/       a model server, training jobs and a system of record to copy from"""


def main() -> int:
    """Tell the story; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m modelyard_examples.demo", description=__doc__)
    parser.add_argument("--loans", type=int, default=LOANS, help="how many loans to ask about (default %(default)s)")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    screen = Screen()
    try:
        return asyncio.run(_tell(screen, loans=options.loans))
    except (StackError, NeverHappenedError, RegistryError, RouterError) as error:
        screen.console.print(f"[red]The demo stopped:[/] {type(error).__name__}: {error}")
        return 1
    except KeyboardInterrupt:
        screen.console.print("Stopped.")
        return 130


async def _tell(screen: Screen, *, loans: int) -> int:
    started_at = time.perf_counter()
    screen.console.print(Panel(INTRODUCTION, border_style="cyan"))
    async with AsyncExitStack() as running:
        with screen.waiting("starting") as on_progress:
            world = await running.enter_async_context(running_world(on_progress=on_progress))
        await _play(screen, world, sample_of_loans(loans))
    return 0 if screen.finale(seconds=time.perf_counter() - started_at, next_steps=NEXT_STEPS) else 1


async def _play(screen: Screen, world: World, loans: list[Loan]) -> None:
    fitted = await publishing_acts.train(screen)
    versions = await publishing_acts.publish(screen, world, fitted)
    champion, candidate = versions[DEBT_CONSOLIDATION_V1.name], versions[DEBT_CONSOLIDATION_V2.name]
    await publishing_acts.promote(screen, world, versions)
    await serving_acts.route(screen, world, loans)
    await serving_acts.keep_fresh(screen, world, loans)
    await serving_acts.experiment(screen, world, loans, candidate)
    await serving_acts.compare(screen, world)
    await governing_acts.govern(screen, world, candidate)
    await closing_acts.roll_back(screen, world, loans, champion, candidate)
    await closing_acts.refuse_a_bad_event(screen, world)
    await closing_acts.audit(screen, world)


def sample_of_loans(count: int) -> list[Loan]:
    """Some of the loans, the same ones in every run, both industries among them."""
    loans = loan_records()
    random.Random(SEED).shuffle(loans)
    wanted = {DEBT_CONSOLIDATION_V1.industry, CREDIT_CARD_V1.industry}
    # Enough of both industries even when only a few loans are asked about.
    return sorted(loans[:count], key=lambda loan: loan["loan_purpose"] not in wanted)


if __name__ == "__main__":
    sys.exit(main())
