"""The relay keeps each key's newest document the last one on the compacted topics."""

import base64
import json
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from modelyard_events.access import ApiTokenChanged, SigningKeyChanged
from modelyard_events.codec import encode
from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.routes import RouteChanged
from modelyard_events.topics import ACCESS, ROUTES
from modelyard_runtime.clock import utc_now
from modelyard_stack import Stack

from tests.integration.registry.relay_world import PROJECT, RelayWorld, open_relay_world, sequences_of, until
from tests.world.topics import Topics

pytestmark = pytest.mark.integration

KEY = f"{PROJECT}/risk"


@pytest.fixture
async def world(stack: Stack, postgres_database: str, topic_prefix: str) -> AsyncIterator[RelayWorld]:
    async with open_relay_world(
        dsn=postgres_database, bootstrap=stack.addresses.kafka_bootstrap, prefix=topic_prefix
    ) as opened:
        yield opened


async def test_an_old_document_that_comes_after_a_newer_one_is_followed_by_the_newest(
    world: RelayWorld,
) -> None:
    async with world.running(world.relay()):
        for sequence in (1, 2, 3):
            await world.commit_route("risk", sequence=sequence)
        await world.drained()
        await _say_as_a_zombie(world, sequence=2, generation=1)

        await until(lambda: _ends_with(world, [2, 3]))


async def test_a_document_that_another_registry_wrote_ahead_of_the_table_is_not_fought_over(
    world: RelayWorld,
) -> None:
    async with world.running(world.relay()):
        await world.commit_route("risk", sequence=1)
        await world.drained()
        await _say_as_a_zombie(world, sequence=9, generation=1)
        await world.commit_route("risk", sequence=2)
        await world.drained()
        await world.commit_route("other", sequence=1)
        await world.drained()

    assert sequences_of(await world.read(ROUTES), KEY) == [1, 9, 2]


async def test_a_new_leader_says_every_document_again_with_a_new_envelope(world: RelayWorld) -> None:
    async with world.running(world.relay()):
        await world.commit_route("risk", sequence=1)
        await world.drained()
    async with world.running(world.relay()):
        await until(lambda: _ends_with(world, [1, 1]))

    said = [each for each in await world.read(ROUTES) if each.subject == KEY]
    assert len({each.id for each in said}) == 2


async def test_a_restored_database_begins_a_new_generation_that_outranks_what_was_said(
    world: RelayWorld,
) -> None:
    async with world.running(world.relay()):
        await world.commit_route("risk", sequence=7)
        await world.drained()
    await _pretend_restore(world, sequence=3)

    async with world.running(world.relay()):
        await until(lambda: _ends_with(world, [7, 3]))

    older, newer = [each for each in await world.read(ROUTES) if each.subject == KEY]
    assert (older.generation, newer.generation) == (1, 2)
    assert newer.order > older.order


async def test_a_token_that_was_revoked_stays_so_on_the_topic_whatever_a_late_relay_says(world: RelayWorld) -> None:
    token_id = str(uuid.uuid4())
    connection = await asyncpg.connect(world.dsn)
    try:
        await connection.execute(REVOKED_TOKEN, uuid.UUID(token_id), b"h" * 32, _token(token_id, revoked=True))
    finally:
        await connection.close()

    async with world.running(world.relay()):
        await until(lambda: _token_ends_with(world, [True]))
        await _say_old_token(world, token_id)

        await until(lambda: _token_ends_with(world, [True, False, True]))


async def test_a_signing_key_that_was_revoked_stays_so_on_the_topic(world: RelayWorld) -> None:
    key_id = str(uuid.uuid4())
    connection = await asyncpg.connect(world.dsn)
    try:
        await connection.execute(
            REVOKED_KEY, uuid.UUID(key_id), b"k" * 32, _key(key_id, revoked=True).model_dump_json()
        )
    finally:
        await connection.close()

    async with world.running(world.relay()):
        await until(lambda: _token_ends_with(world, [True]))
        await _say_old(world, _key(key_id, revoked=False), subject=f"key/{key_id}")

        await until(lambda: _token_ends_with(world, [True, False, True]))


REVOKED_KEY = """
INSERT INTO signing_keys (
    id, public_key, actor, project, topics, created_at, created_by, expires_at, revoked_at, sequence, document
) VALUES (
    $1, $2, 'job', 'default', '{training-runs.v1}', now(), 'ada', now() + interval '1 day', now(), 2, $3
)"""


def _key(key_id: str, *, revoked: bool) -> SigningKeyChanged:
    return SigningKeyChanged(
        key_id=key_id,
        public_key=base64.b64encode(b"k" * 32).decode(),
        actor="job",
        project="default",
        topics=("training-runs.v1",),
        expires_at=utc_now() + timedelta(days=1),
        revoked=revoked,
    )


REVOKED_TOKEN = """
INSERT INTO api_tokens (
    id, token_hash, ending, actor, stands_for, project, roles, created_at, created_by, expires_at, revoked_at, sequence,
    document
) VALUES (
    $1, $2, 'last', 'gate', 'default/gate', 'default', '{gateway}', now(), 'ada', now() + interval '1 day', now(), 2, $3
)"""


def _token(token_id: str, *, revoked: bool) -> str:
    return ApiTokenChanged(
        token_id=token_id,
        token_hash=f"sha256:{(b'h' * 32).hex()}",
        actor="gate",
        project="default",
        roles=("gateway",),
        expires_at=utc_now() + timedelta(days=1),
        revoked=revoked,
    ).model_dump_json()


async def _say_old_token(world: RelayWorld, token_id: str) -> None:
    event = ApiTokenChanged.model_validate_json(_token(token_id, revoked=False))
    await _say_old(world, event, subject=f"token/{token_id}")


async def _say_old(world: RelayWorld, event: Event, *, subject: str) -> None:
    envelope = Envelope(
        id="old-document",
        source="/modelyard/registry",
        type=event.type,
        subject=subject,
        occurred_at=utc_now(),
        sequence=1,
        generation=1,
    )
    record = encode(event, envelope)
    async with AIOKafkaProducer(bootstrap_servers=world.bootstrap) as producer:
        await producer.send_and_wait(
            f"{world.prefix}{ACCESS.name}", key=record.key, value=record.value, headers=list(record.headers)
        )


async def _token_ends_with(world: RelayWorld, wanted: list[bool]) -> bool:
    records = await Topics(bootstrap=world.bootstrap, prefix=world.prefix).records(ACCESS)
    return [json.loads(record.value)["revoked"] for record in records] == wanted


async def _ends_with(world: RelayWorld, wanted: list[int]) -> bool:
    return sequences_of(await world.read(ROUTES), KEY)[-len(wanted) :] == wanted


async def _say_as_a_zombie(world: RelayWorld, *, sequence: int, generation: int) -> None:
    envelope = Envelope(
        id=f"old-{sequence}",
        source="/modelyard/registry",
        type=RouteChanged.type,
        subject=KEY,
        occurred_at=utc_now(),
        sequence=sequence,
        generation=generation,
    )
    record = encode(RouteChanged(project=PROJECT, model_type="risk", revision=sequence), envelope)
    async with AIOKafkaProducer(bootstrap_servers=world.bootstrap) as producer:
        await producer.send_and_wait(
            f"{world.prefix}{ROUTES.name}", key=record.key, value=record.value, headers=list(record.headers)
        )


async def _pretend_restore(world: RelayWorld, *, sequence: int) -> None:
    """What a restore to an earlier point leaves: older rows, on another timeline."""
    connection = await asyncpg.connect(world.dsn)
    try:
        await connection.execute("UPDATE relay_position SET timeline_id = timeline_id + 1")
        await connection.execute("UPDATE routes SET sequence = $1", sequence)
    finally:
        await connection.close()
