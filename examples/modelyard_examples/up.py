"""`make up`: the whole system, running until Ctrl-C, with its addresses and commands to paste."""

import argparse
import asyncio
import logging
import signal
import sys
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

from modelyard_stack import StackError
from modelyard_stack.supervision import kept_servers, supervise
from rich.markup import escape
from rich.table import Table

from modelyard_examples.demo import publishing_acts
from modelyard_examples.demo.screen import Screen
from modelyard_examples.demo.world import World, running_world
from modelyard_examples.loans import loan_records
from modelyard_examples.recipes import DEBT_CONSOLIDATION_V1, GLOBAL_V2, MODEL_TYPE

DIRECTORY = Path(".modelyard")

ENVIRONMENT_FILE = "environment.sh"
ENVIRONMENT = """\
# Where this system answers, and what proves who asks; written at each start, for its owner only.
export AUTH="authorization: Bearer {token}"
export API={registry}/api/v1
export REGISTRY=$API/projects/default
export ROUTER={router}
export MODEL_SERVER={model_server}
export LOAN_BOOK={loan_book}
export KAFKA={kafka}
"""

COMMANDS = """\
[bold]To paste into another terminal[/]

. {environment}

[dim]# which version serves a request, and why; then a prediction about a loan[/]
curl -s -H "$AUTH" {router}/v1/route \
  -d '{{"model_type": "{model_type}", "tenant": "{tenant}", "industry": "{industry}"}}'
curl -s -H "$AUTH" {router}/v1/predict -d '{{"inputs": [], "parameters": {{"model_type": "{model_type}", \
"tenant": "{tenant}", "industry": "{industry}", "entity_type": "loan", "entity_id": "{loan}"}}}}'

[dim]# change the loan (its cached prediction dies), then predict again[/]
curl -s -X PATCH -H 'content-type: application/json' {loan_book}/loans/{loan} -d '{{"annual_income": 250000}}'

[dim]# train another global model and publish it; to announce it by a signed event instead, add
#   --kafka {kafka} --signing-key {key}[/]
.venv/bin/python -m modelyard_examples.training {recipe} --registry {registry}

[dim]# the versions, and what happened so far[/]
curl -s -H "$AUTH" {registry}/api/v1/projects/default/registered-models/risk-scoring/versions
curl -s -H "$AUTH" {registry}/api/v1/projects/default/audit-entries

Ctrl-C stops everything; what is in {directory} is there again at the next [bold]make up[/].
"""


def main() -> int:
    """Run until SIGINT or SIGTERM; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m modelyard_examples.up", description=__doc__)
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where data are kept (default %(default)s)")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    screen = Screen()
    try:
        asyncio.run(_run(screen, directory=options.directory.absolute()))
    except StackError as error:
        screen.console.print(f"[red]Not started:[/] {error}")
        return 1
    return 0


async def _run(screen: Screen, *, directory: Path) -> None:
    work = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, lambda: work and work.cancel())
    try:
        async with AsyncExitStack() as running:
            with screen.waiting("starting") as on_progress:
                world = await running.enter_async_context(running_world(directory=directory, on_progress=on_progress))
            await _fill_when_empty(screen, world)
            _show(screen, world, directory=directory)
            await supervise(kept_servers(world.system), say=partial(_notice, screen))
    except asyncio.CancelledError:
        screen.console.print("Stopped.")


def _notice(screen: Screen, text: str) -> None:
    screen.console.print(f"[yellow]{datetime.now().astimezone():%H:%M:%S}[/] {escape(text)}", soft_wrap=True)


async def _fill_when_empty(screen: Screen, world: World) -> None:
    """Publish and promote the demo's models at the first start, so that there is something to ask."""
    async for _ in world.registry.list_registered_models():
        return
    fitted = await publishing_acts.train(screen)
    versions = await publishing_acts.publish(screen, world, fitted)
    await publishing_acts.promote(screen, world, versions)


def _show(screen: Screen, world: World, *, directory: Path) -> None:
    table = Table(title="Running", title_justify="left", border_style="dim", show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    addresses = world.system.stack.addresses
    for name, service in world.system.services.items():
        # Services document themselves; so does the loan book.
        table.add_row(name, service.url, "" if name == "model_server" else f"{service.url}/docs")
    table.add_row("Kafka", addresses.kafka_bootstrap, "")
    table.add_row("PostgreSQL", addresses.postgres_dsn, "")
    table.add_row("Valkey", addresses.redis_url, "")
    screen.console.print(table)
    environment = _write_environment(world, directory=directory)
    loan = next(each for each in loan_records() if each["loan_purpose"] == DEBT_CONSOLIDATION_V1.industry)
    commands = COMMANDS.format(
        environment=environment,
        router=world.system.service("router").url,
        registry=world.system.service("registry").url,
        loan_book=world.loan_book_url,
        kafka=world.kafka_bootstrap,
        key=world.training_key_file,
        model_type=MODEL_TYPE,
        tenant=loan["state"],
        industry=loan["loan_purpose"],
        loan=loan["id"],
        recipe=GLOBAL_V2.name,
        directory=directory,
    )
    screen.console.print(commands, soft_wrap=True)


def _write_environment(world: World, *, directory: Path) -> Path:
    """Write what a shell needs to know of this system into a file that only its owner may read; answers its path."""
    file = directory / ENVIRONMENT_FILE
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(
        ENVIRONMENT.format(
            token=world.system.tokens["ada"],
            registry=world.system.service("registry").url,
            router=world.system.service("router").url,
            model_server=world.model_server_url,
            loan_book=world.loan_book_url,
            kafka=world.kafka_bootstrap,
        )
    )
    return file


if __name__ == "__main__":
    sys.exit(main())
