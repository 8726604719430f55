"""A relay that was paused at the worst moment, while another one took over, harms nothing when it wakes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from modelyard_events.topics import ROUTES
from modelyard_stack import Stack

from tests.integration.registry.relay_world import (
    PROJECT,
    RelayWorld,
    open_relay_world,
    sequences_of,
    until,
    without_repeats,
)

pytestmark = [pytest.mark.integration, pytest.mark.faults]

KEY = f"{PROJECT}/risk"
TAKEOVER_S_MAX = 20.0


async def test_a_paused_leader_that_wakes_does_not_leave_an_old_route_behind(
    stack: Stack, postgres_database: str, topic_prefix: str, tmp_path: Path
) -> None:
    bootstrap = stack.addresses.kafka_bootstrap
    async with open_relay_world(dsn=postgres_database, bootstrap=bootstrap, prefix=topic_prefix) as world:
        trigger = tmp_path / "stop-now"
        async with _relay_process(world, trigger=trigger) as zombie:
            await world.commit_route("risk", sequence=1)
            await world.drained()
            trigger.touch()
            await world.commit_route("risk", sequence=2)
            await until(lambda: _is_stopped(zombie))

            async with world.running(world.relay()):
                paused_at = asyncio.get_running_loop().time()
                for sequence in (3, 4, 5):
                    await world.commit_route("risk", sequence=sequence)
                await world.drained()
                takeover_s = asyncio.get_running_loop().time() - paused_at
                os.kill(zombie.pid, signal.SIGCONT)
                await until(lambda: _has_been_repaired(world))
                await _compact(world)

                assert takeover_s < TAKEOVER_S_MAX
                assert zombie.returncode is None  # It stands by, as good as any other.
                assert sequences_of(await world.read(ROUTES), KEY)[-1] == 5


async def _has_been_repaired(world: RelayWorld) -> bool:
    """The zombie's old document came after the newest one, and was followed by it again."""
    sequences = sequences_of(await world.read(ROUTES), KEY)
    assert without_repeats(sequences) == list(range(1, max(sequences) + 1))
    after_newest = sequences[sequences.index(5) :] if 5 in sequences else []
    return 2 in after_newest and after_newest[-1] == 5


async def _is_stopped(process: asyncio.subprocess.Process) -> bool:
    return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


async def _compact(world: RelayWorld) -> None:
    """Have the broker clean the topic, and wait until the old records of the key are gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=world.bootstrap)
    await admin.start()
    try:
        await admin.alter_configs(
            [
                ConfigResource(
                    ConfigResourceType.TOPIC,
                    f"{world.prefix}{ROUTES.name}",
                    {
                        "cleanup.policy": "compact",
                        "min.compaction.lag.ms": "0",
                        "max.compaction.lag.ms": "1000",
                        "min.cleanable.dirty.ratio": "0.001",
                        "segment.ms": "500",
                    },
                )
            ]
        )
    finally:
        await admin.close()
    before = len(sequences_of(await world.read(ROUTES), KEY))
    others = 0

    async def is_compacted() -> bool:
        # Segments roll when something is written, and only closed ones are cleaned.
        nonlocal others
        others += 1
        await world.commit_route(f"filler-{others % 5}", sequence=1 + others // 5)
        return len(sequences_of(await world.read(ROUTES), KEY)) < before

    await until(is_compacted, timeout_s=60.0)


@asynccontextmanager
async def _relay_process(world: RelayWorld, *, trigger: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.relay_process",
        world.dsn,
        world.bootstrap,
        world.prefix,
        str(trigger),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()
