"""Starts and stops the three servers together. They are stopped even if the process that started them is killed."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modelyard_stack.addresses import Addresses
from modelyard_stack.errors import StackError
from modelyard_stack.kafka import KafkaProgram
from modelyard_stack.kafka_jars import (
    KAFKA_VERSION,
    Report,
    downloads_directory,
    ensure_jars,
    fetch_with_jgo,
    recorded_jars,
    report_to_terminal,
)
from modelyard_stack.keeper import Account, Keeper
from modelyard_stack.ports import HOST
from modelyard_stack.postgres import PostgresProgram
from modelyard_stack.postgres_account import account_for, can_execute, copy_binaries, installed_binaries
from modelyard_stack.server import ExternalServer, KeptServer, Program, Server
from modelyard_stack.state import State, state_in
from modelyard_stack.together import do_together
from modelyard_stack.valkey import ValkeyProgram

MODE_VARIABLE = "MODELYARD_STACK"
TEMPORARY_PREFIX = "modelyard-stack-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Running servers and their addresses. `directory` is None when the servers are not ours (`external`)."""

    addresses: Addresses
    kafka: Server
    postgres: Server
    valkey: Server
    directory: Path | None

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        directory: Path | None = None,
        environment: Mapping[str, str] = os.environ,
        report: Report = report_to_terminal,
    ) -> AsyncIterator[Self]:
        """Start Kafka, PostgreSQL and Valkey, and stop them at the end of the block.

        With a `directory` their data are kept there for the next start; without one they are in a temporary
        directory that is removed. The variable MODELYARD_STACK of `environment` says who runs the servers:
        `embedded` (the default) or `external`. `report` is told how far the first download is.
        Raises `StackError`, and `ServerFailedError` with the end of the log when a server does not start.
        """
        if not is_embedded(environment):
            yield cls(
                addresses=Addresses.from_environment(environment),
                kafka=ExternalServer("kafka"),
                postgres=ExternalServer("postgres"),
                valkey=ExternalServer("valkey"),
                directory=None,
            )
            return
        async with _embedded(directory, report=report) as (addresses, (kafka, postgres, valkey), place):
            yield cls(addresses=addresses, kafka=kafka, postgres=postgres, valkey=valkey, directory=place)


def is_embedded(environment: Mapping[str, str]) -> bool:
    """Whether the stack starts its own servers; raises `StackError` when MODELYARD_STACK is unknown."""
    match environment.get(MODE_VARIABLE) or "embedded":
        case "embedded":
            return True
        case "external":
            return False
        case unknown:
            raise StackError(f"{MODE_VARIABLE} is {unknown!r}; it may be 'embedded' or 'external'.")


def fetch(*, report: Report = report_to_terminal) -> list[Path]:
    """Download and verify every jar of Kafka. Return the paths in the user's cache directory."""
    return ensure_jars(
        recorded_jars(),
        directory=downloads_directory() / f"kafka-{KAFKA_VERSION}",
        fetch=fetch_with_jgo,
        report=report,
    )


@asynccontextmanager
async def _embedded(
    directory: Path | None, *, report: Report
) -> AsyncIterator[tuple[Addresses, list[KeptServer], Path]]:
    jars = await asyncio.to_thread(fetch, report=report)
    place, removals = _place_for(directory)
    account = account_for(place / "postgres")
    binaries = await asyncio.to_thread(_binaries_for, account, removals=removals)
    async with Keeper(lock=place / "lock", remove=removals) as keeper:
        # Read once the keeper holds the lock: a stack that still stops here has its ports until then.
        state = state_in(place / "stack.json")
        keeps_data = directory is not None
        kafka = KafkaProgram(
            directory=place / "kafka",
            port=state.kafka_port,
            controller_port=state.kafka_controller_port,
            jars=jars,
            formatted=downloads_directory() / f"kafka-{KAFKA_VERSION}-formatted",
            keeps_data=keeps_data,
        )
        postgres = PostgresProgram(
            directory=place / "postgres",
            port=state.postgres_port,
            password=state.postgres_password,
            binaries=binaries,
            account=account,
            keeps_data=keeps_data,
        )
        valkey = ValkeyProgram(directory=place / "valkey", port=state.valkey_port, keeps_data=keeps_data)
        programs: list[Program] = [kafka, postgres, valkey]
        logs = place / "logs"
        servers = [KeptServer(each, keeper=keeper, log=logs / f"{each.name}.log") for each in programs]
        await do_together(server.start() for server in servers)
        yield _addresses(state, postgres=postgres), servers, place


def _binaries_for(account: Account | None, *, removals: list[Path]) -> Path:
    """PostgreSQL's programs, where `account` can execute them: if need be a copy, added to `removals`."""
    binaries = installed_binaries()
    if account is None or can_execute(binaries, account=account):
        return binaries
    removals.append(Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX)))
    return copy_binaries(binaries, to=removals[-1])


def _place_for(directory: Path | None) -> tuple[Path, list[Path]]:
    """The directory of a stack, made ready, and what is to be removed at its end."""
    place = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX)) if directory is None else directory.absolute()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / "logs").mkdir(exist_ok=True)
    except OSError as error:
        raise StackError(f"Cannot use the directory {place}: {error.strerror}. Give another one.") from error
    return place, [place] if directory is None else []


def _addresses(state: State, *, postgres: PostgresProgram) -> Addresses:
    return Addresses(
        kafka_bootstrap=f"{HOST}:{state.kafka_port}",
        postgres_dsn=postgres.dsn(),
        redis_url=f"redis://{HOST}:{state.valkey_port}/0",
    )
