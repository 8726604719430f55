"""Single servers are killed, paused and restarted, and have their data afterwards."""

import asyncio
from collections.abc import AsyncIterator

import psutil
import pytest
from modelyard_stack import Stack, StackError
from redis.asyncio import Redis

from tests.integration.stack.data import (
    create_topic,
    database,
    produce,
    producer_to,
    read_entry,
    read_record,
    read_row,
    records_of,
    topics_of,
    write_everywhere,
)
from tests.integration.stack.processes import wait_until_gone

pytestmark = pytest.mark.integration
SILENCE_S = 0.5
COMPACTION_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
async def victim(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack whose servers these tests kill; each test leaves them running."""
    async with Stack.start(directory=tmp_path_factory.mktemp("victim")) as stack:
        yield stack


async def test_a_killed_kafka_has_its_records_after_a_restart(victim: Stack) -> None:
    await write_everywhere(victim.addresses, name="before_kafka")

    await victim.kafka.kill()
    await victim.kafka.start()

    assert await read_record(victim.addresses, name="before_kafka") == "before_kafka"
    assert await read_row(victim.addresses, name="before_kafka") == "before_kafka"


async def test_a_killed_postgres_ends_wholly_and_has_its_rows_after_a_restart(victim: Stack) -> None:
    await write_everywhere(victim.addresses, name="before_postgres")

    async with database(victim.addresses) as connection:
        backend = psutil.Process(await connection.fetchval("select pg_backend_pid()"))
        await victim.postgres.kill()
        left = await wait_until_gone({backend})
    await victim.postgres.start()

    assert left == set()
    assert await read_row(victim.addresses, name="before_postgres") == "before_postgres"
    assert await read_record(victim.addresses, name="before_postgres") == "before_postgres"


async def test_a_killed_valkey_forgets_nothing_and_resurrects_nothing(victim: Stack) -> None:
    async with Redis.from_url(victim.addresses.redis_url, decode_responses=True) as client:
        await client.mset({"kept": "1", "purged": "1"})
        await client.delete("purged")

    await victim.valkey.kill()
    await victim.valkey.start()

    async with Redis.from_url(victim.addresses.redis_url, decode_responses=True) as client:
        assert await client.mget("kept", "purged") == ["1", None]


async def test_a_paused_kafka_is_silent_until_it_is_resumed(victim: Stack) -> None:
    await create_topic(victim.addresses, name="during_pause", settings={})
    async with producer_to(victim.addresses) as producer:
        await producer.send_and_wait("during_pause", b"before")

        await victim.kafka.pause()
        sent = await producer.send("during_pause", b"meanwhile")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sent), timeout=SILENCE_S)
        await victim.kafka.resume()

        assert (await sent).offset == 1


async def test_a_paused_postgres_or_valkey_is_silent_until_it_is_resumed(victim: Stack) -> None:
    await write_everywhere(victim.addresses, name="here")

    for server, read in ((victim.postgres, read_row), (victim.valkey, read_entry)):
        await server.pause()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(victim.addresses, name="here"), timeout=SILENCE_S)
        await server.resume()

        assert await read(victim.addresses, name="here") == "here"


async def test_a_restart_keeps_port_and_data(victim: Stack) -> None:
    await write_everywhere(victim.addresses, name="before_restart")

    async with asyncio.TaskGroup() as group:
        for server in (victim.kafka, victim.postgres, victim.valkey):
            group.create_task(server.restart())

    for read in (read_record, read_row, read_entry):
        assert await read(victim.addresses, name="before_restart") == "before_restart"


async def test_starting_a_server_that_runs_is_refused(stack: Stack) -> None:
    with pytest.raises(StackError, match="valkey runs already"):
        await stack.valkey.start()


async def test_compaction_removes_what_was_overwritten(stack: Stack, topic_prefix: str) -> None:
    topic = f"{topic_prefix}routes"
    settings = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001"}
    await create_topic(stack.addresses, name=topic, settings=settings)
    await produce(stack.addresses, topic=topic, records=[(b"model", b"old"), (b"model", b"new")])

    values: list[bytes] = []
    async with asyncio.timeout(COMPACTION_TIMEOUT_S):
        while len(values) != 1:
            # A segment is closed by a later record; only closed ones are compacted.
            await produce(stack.addresses, topic=topic, records=[(b"other", b"1")])
            records = await records_of(stack.addresses, topic=topic)
            values = [value for key, value in records if key == b"model"]

    assert values == [b"new"]


async def test_a_topic_is_never_made_by_writing_to_it(stack: Stack, topic_prefix: str) -> None:
    topic = f"{topic_prefix}misspelt"

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(produce(stack.addresses, topic=topic, records=[(b"key", b"value")]), timeout=SILENCE_S)

    assert topic not in await topics_of(stack.addresses)
