"""The stack from the command line: `up` runs the servers until Ctrl-C, `fetch` downloads Kafka beforehand."""

import argparse
import asyncio
import os
import shlex
import signal
import sys
from importlib.metadata import version
from pathlib import Path

from modelyard_stack import Addresses, Stack, StackError, fetch
from modelyard_stack.stack import is_embedded

EPILOG = """\
MODELYARD_STACK says who runs the servers:
  embedded   (default) they are started here, from Python packages and Kafka's jars
  external   somebody else does; set MODELYARD_KAFKA_BOOTSTRAP, MODELYARD_POSTGRES_DSN and MODELYARD_REDIS_URL
"""


def main() -> None:
    arguments = _parser().parse_args()
    try:
        match arguments.command:
            case "fetch":
                jars = fetch()
                print(f"{len(jars)} jars of Apache Kafka are verified, in {jars[0].parent}")
            case "up":
                if is_embedded(os.environ):
                    # Here, where Ctrl-C ends it: below an event loop it would be a thread that nothing ends.
                    fetch()
                asyncio.run(_up(arguments.directory))
    except StackError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


async def _up(directory: Path | None) -> None:
    asked_to_stop = False
    this = asyncio.current_task()
    assert this is not None, "a coroutine that runs is part of a task"

    def stop() -> None:
        nonlocal asked_to_stop
        if not asked_to_stop:
            asked_to_stop = True
            print("\nStopping ...", file=sys.stderr, flush=True)
            this.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    try:
        async with Stack.start(directory=directory) as stack:
            print(_as_table(stack))
            print(_as_exports(stack.addresses), flush=True)
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not asked_to_stop:
            raise


def _as_table(stack: Stack) -> str:
    addresses = stack.addresses
    rows = [
        ("Kafka", addresses.kafka_bootstrap),
        ("PostgreSQL", addresses.postgres_dsn),
        ("Valkey", addresses.redis_url),
        ("Files, logs", str(stack.directory or "not here: the servers are external")),
    ]
    return "\n".join(f"# {name:<12} {value}" for name, value in rows) + "\n# Ctrl-C stops them.\n"


def _as_exports(addresses: Addresses) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in addresses.as_environment().items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m modelyard_stack",
        description="Real Kafka, PostgreSQL and Valkey for development, without Docker or Java.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=version("modelyard-stack"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="{up,fetch}")
    up = commands.add_parser("up", help="start the three servers, print their addresses, stop them on Ctrl-C")
    up.add_argument(
        "--directory",
        type=Path,
        metavar="DIR",
        help="keep the data there for the next start (default: a temporary directory, removed at the end)",
    )
    commands.add_parser("fetch", help="download and verify Kafka's jars; at once when they are there")
    return parser


if __name__ == "__main__":
    main()
