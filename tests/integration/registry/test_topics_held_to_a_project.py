"""A topic that the broker keeps to one project's producers: their runs need no signature, and are theirs alone."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from modelyard_events.topics import TRAINING_RUNS
from modelyard_stack import Stack

from tests.integration.registry.registry_world import PROJECT, RegistryWorld, open_registry_world
from tests.integration.registry.relay_world import until
from tests.integration.registry.test_senders import a_run, parked, settled
from tests.world.registry import Registry
from tests.world.signing import a_registered_signer, a_signer

pytestmark = pytest.mark.integration


@pytest.fixture
async def held_world(
    stack: Stack, postgres_database: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[RegistryWorld]:
    """A registry whose broker lets only `bank` write training runs."""
    async with open_registry_world(
        dsn=postgres_database,
        bootstrap=stack.addresses.kafka_bootstrap,
        prefix=topic_prefix,
        directory=tmp_path,
        ingest_projects={TRAINING_RUNS.name: PROJECT},
    ) as opened:
        yield opened


async def test_unsigned_runs_of_its_project_are_taken_and_others_are_parked(held_world: RegistryWorld) -> None:
    elsewhere = replace(held_world, registry=Registry(http=held_world.http, project="shop"))
    for world in (held_world, elsewhere):
        await world.a_model("everyone")
    own = await a_registered_signer(held_world.http, project="shop", topics=[TRAINING_RUNS.name], actor="shop-training")
    foreign = await a_run(elsewhere, "unsigned-of-another-project")

    await held_world.send(TRAINING_RUNS, foreign)
    await held_world.send(TRAINING_RUNS, a_signer(str(uuid.uuid4())).sign(await a_run(held_world, "forged")))
    await held_world.send(TRAINING_RUNS, own.sign(await a_run(elsewhere, "signed")))
    await held_world.send(TRAINING_RUNS, await a_run(held_world, "unsigned"))

    (version,) = await settled(held_world, run_id="unsigned")
    assert version["created_by"] == "training-job:urn:test:outsider"
    (signed,) = await settled(elsewhere, run_id="signed")
    assert signed["created_by"] == "shop/shop-training"

    async def are_parked() -> bool:
        return await parked(elsewhere) == [(foreign.value, "sender_not_permitted")] and [
            reason for _, reason in await parked(held_world)
        ] == ["sender_unproved"]

    await until(are_parked)
