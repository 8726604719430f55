"""With MODELYARD_STACK=external somebody else runs the servers."""

from collections.abc import Awaitable, Callable

import pytest
from modelyard_stack import Addresses, Server, Stack, StackError

ENVIRONMENT = {
    "MODELYARD_STACK": "external",
    "MODELYARD_KAFKA_BOOTSTRAP": "kafka.example:9092",
    "MODELYARD_POSTGRES_DSN": "postgresql://ada:secret@postgres.example/modelyard",
    "MODELYARD_REDIS_URL": "redis://valkey.example/0",
}


async def test_addresses_come_from_the_environment() -> None:
    async with Stack.start(environment=ENVIRONMENT) as stack:
        addresses = stack.addresses

    assert addresses == Addresses(
        kafka_bootstrap="kafka.example:9092",
        postgres_dsn="postgresql://ada:secret@postgres.example/modelyard",
        redis_url="redis://valkey.example/0",
    )
    assert {"MODELYARD_STACK": "external", **addresses.as_environment()} == ENVIRONMENT
    assert stack.directory is None


async def test_addresses_that_are_missing_are_named() -> None:
    environment = {**ENVIRONMENT, "MODELYARD_REDIS_URL": ""}
    del environment["MODELYARD_POSTGRES_DSN"]

    with pytest.raises(StackError, match="set MODELYARD_POSTGRES_DSN, MODELYARD_REDIS_URL"):
        async with Stack.start(environment=environment):
            pass


@pytest.mark.parametrize("action", ["start", "stop", "kill", "pause", "resume", "restart"])
async def test_servers_of_somebody_else_are_left_alone(action: str) -> None:
    async with Stack.start(environment=ENVIRONMENT) as stack:
        servers: list[Server] = [stack.kafka, stack.postgres, stack.valkey]
        for server in servers:
            act: Callable[[], Awaitable[None]] = getattr(server, action)
            with pytest.raises(StackError, match=f"Cannot {action} {server.name}: .* somebody else runs it"):
                await act()


async def test_an_unknown_kind_of_stack_is_refused_with_the_known_ones() -> None:
    with pytest.raises(StackError, match="'docker'; it may be 'embedded' or 'external'"):
        async with Stack.start(environment={"MODELYARD_STACK": "docker"}):
            pass
