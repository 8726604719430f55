"""The stack starts quickly, stops wholly, and says why when it cannot start."""

import os
import time
from pathlib import Path

import pytest
from modelyard_stack import ServerFailedError, Stack, StackError

from tests.integration.stack.data import read_entry, read_record, read_row, write_everywhere
from tests.integration.stack.processes import processes_of, wait_until_gone
from tests.stack_fixtures import OwnStack

pytestmark = pytest.mark.integration
WARM_START_S = 5.0
SERVERS = 3


async def test_nothing_is_left_when_it_has_stopped() -> None:
    async with Stack.start() as stack:
        assert stack.directory is not None
        processes = processes_of(stack.directory)

    assert len(processes) > SERVERS
    assert await wait_until_gone(processes) == set()
    assert not stack.directory.exists()


async def test_a_warm_start_takes_at_most_five_seconds(stack: Stack, own_stack: OwnStack) -> None:
    # The session's stack has warmed the caches. On a busy machine each process gets its share only.
    share = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    start = time.monotonic()

    await own_stack()

    assert time.monotonic() - start < WARM_START_S * share


async def test_data_and_addresses_outlive_a_restart_in_the_same_directory(tmp_path: Path) -> None:
    async with Stack.start(directory=tmp_path) as first:
        await write_everywhere(first.addresses, name="kept")

    async with Stack.start(directory=tmp_path) as second:
        found = (
            await read_record(second.addresses, name="kept"),
            await read_row(second.addresses, name="kept"),
            await read_entry(second.addresses, name="kept"),
        )

    assert second.addresses == first.addresses
    assert found == ("kept", "kept", "kept")


async def test_a_second_stack_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    async with Stack.start(directory=tmp_path):
        with pytest.raises(StackError, match=f"A stack runs in {tmp_path} already"):
            async with Stack.start(directory=tmp_path):
                pass


async def test_a_server_that_does_not_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    data = tmp_path / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=7\n", encoding="ascii")

    with pytest.raises(ServerFailedError) as refusal:
        async with Stack.start(directory=tmp_path):
            pass

    assert str(refusal.value).startswith("kafka ended while it started")
    assert str(tmp_path / "logs" / "kafka.log") in str(refusal.value)
    assert "Stored node id 7" in str(refusal.value)
    assert processes_of(tmp_path) == set()


async def test_what_a_server_wrote_is_in_its_log(stack: Stack) -> None:
    assert stack.directory is not None

    logs = {path.name: path.read_text(encoding="utf-8") for path in (stack.directory / "logs").iterdir()}

    assert "Kafka Server started" in logs["kafka.log"]
    assert "database system is ready" in logs["postgres.log"]
    assert "Ready to accept connections" in logs["valkey.log"]
