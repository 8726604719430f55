"""A registry's database with its topics, for tests of the relay: write to the outbox, read what came out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
from modelyard_events.codec import Received, Record, decode
from modelyard_events.envelope import Envelope
from modelyard_events.registry import RegisteredModelCreated
from modelyard_events.routes import RouteChanged
from modelyard_events.topics import ACCESS, AUDIT_LOG, MODEL_VERSIONS, ROUTES, Topic
from modelyard_events.values import Scope
from modelyard_registry.outbox.relay import Relay, RelaySettings
from modelyard_registry.transactions import RequestContext, Transaction, UnitOfWork
from modelyard_registry.transactions.audit_actions import AuditAction
from modelyard_registry.transactions.database import Database, migrate
from modelyard_runtime.clock import utc_now
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.state.keys import StateSigner
from modelyard_runtime.topic_setup import ensure_topics

from tests.world.topics import Topics

DEADLINE_S = 30.0
LOOK_S = 0.05
PROJECT = "bank"

CONTEXT = RequestContext(actor="ada", request_id="r-1", correlation_id="story-1", causation_id=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayWorld:
    """What a relay works on."""

    dsn: str
    bootstrap: str
    prefix: str
    database: Database
    signer: StateSigner | None = None

    def relay(self) -> Relay:
        """A relay of its own, not running yet."""
        settings = RelaySettings(
            postgres_dsn=self.dsn,
            kafka=KafkaConnection(bootstrap=self.bootstrap),
            topic_prefix=self.prefix,
            signer=self.signer,
        )
        return Relay(settings, clock=utc_now, new_id=new_uuid7)

    @asynccontextmanager
    async def running(self, relay: Relay) -> AsyncIterator[Relay]:
        """Run the relay beside the block."""
        task = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def unit_of_work(self, *, wake: Callable[[], None] = lambda: None) -> UnitOfWork:
        """What changes are made with."""
        return UnitOfWork(self.database, clock=utc_now, new_id=new_uuid7, wake=wake)

    async def commit_facts(
        self, *, key: str, first: int, count: int = 1, wake: Callable[[], None] = lambda: None
    ) -> None:
        """`count` facts about one model in one transaction, each with its audit entry."""
        async with self.unit_of_work(wake=wake)(CONTEXT) as tx:
            for sequence in range(first, first + count):
                await append_fact(tx, key=key, sequence=sequence)
                await tx.record_audit(
                    project=PROJECT, action=AuditAction.POLICY_CHANGED, subject=f"{key}/{sequence}", reason="a test"
                )

    async def commit_route(self, model_type: str, *, sequence: int) -> None:
        """A new route document, as routes' own handler would write it."""
        event = RouteChanged(project=PROJECT, model_type=model_type, revision=sequence)
        async with self.unit_of_work()(CONTEXT) as tx:
            await tx.connection.execute(
                """INSERT INTO routes (project, model_type, sequence, policy, document)
                   VALUES ($1, $2, $3, '{}', $4) ON CONFLICT (project, model_type)
                   DO UPDATE SET sequence = excluded.sequence, document = excluded.document""",
                PROJECT,
                model_type,
                sequence,
                event.model_dump(mode="json"),
            )
            await tx.append_fact(ROUTES, event, key=f"{PROJECT}/{model_type}", sequence=sequence)

    async def outbox_count(self) -> int:
        """How many rows wait."""
        return int(await self.fetch_value("SELECT count(*) FROM outbox"))

    async def fetch_value(self, statement: str) -> Any:
        """One value from the database."""
        async with self.database.acquire() as connection:
            return await connection.fetchval(statement)

    async def read(self, topic: Topic) -> list[Envelope]:
        """Every envelope on a topic so far; per partition in the log's order."""
        return await read_envelopes(self.bootstrap, topic, prefix=self.prefix)

    async def drained(self) -> None:
        """Wait until the outbox is empty."""
        await until(self._is_drained)

    async def _is_drained(self) -> bool:
        return await self.outbox_count() == 0


@asynccontextmanager
async def open_relay_world(*, dsn: str, bootstrap: str, prefix: str) -> AsyncIterator[RelayWorld]:
    """A migrated database and the relay's topics."""
    await migrate(dsn)
    await ensure_topics(
        kafka=KafkaConnection(bootstrap=bootstrap), prefix=prefix, topics=(MODEL_VERSIONS, ROUTES, ACCESS, AUDIT_LOG)
    )
    async with Database(dsn) as database:
        yield RelayWorld(dsn=dsn, bootstrap=bootstrap, prefix=prefix, database=database)


async def append_fact(tx: Transaction, *, key: str, sequence: int) -> None:
    """A fact about a model."""
    event = RegisteredModelCreated(
        project=PROJECT,
        model=key.partition("/")[2],
        registered_model_id=f"m-{sequence}",
        model_type="risk",
        scope=Scope.GLOBAL,
    )
    await tx.append_fact(MODEL_VERSIONS, event, key=key, sequence=sequence)


async def read_envelopes(bootstrap: str, topic: Topic, *, prefix: str) -> list[Envelope]:
    """Every envelope on a topic up to its present end."""
    return [_envelope(record) for record in await Topics(bootstrap=bootstrap, prefix=prefix).records(topic)]


def _envelope(record: Any) -> Envelope:
    decoded = decode(Record(key=record.key, value=record.value, headers=tuple(record.headers)))
    assert isinstance(decoded, Received), decoded
    return decoded.envelope


def sequences_of(envelopes: list[Envelope], key: str) -> list[int]:
    """The sequences of one key, in the log's order."""
    return [each.sequence or 0 for each in envelopes if each.subject == key]


def without_repeats(sequences: list[int]) -> list[int]:
    """What a consumer that drops older and equal sequences applies."""
    applied: list[int] = []
    for sequence in sequences:
        if not applied or sequence > applied[-1]:
            applied.append(sequence)
    return applied


async def until(is_true: Callable[[], Awaitable[bool]], *, timeout_s: float = DEADLINE_S) -> None:
    """Wait for a condition. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not await is_true():  # noqa: ASYNC110  # What is waited for lies in other processes.
            await asyncio.sleep(LOOK_S)


async def end_sessions(dsn: str, *, application: str) -> int:
    """Terminate the sessions of an application, as a failing server would. Returns how many there were."""
    connection = await asyncpg.connect(dsn)
    try:
        return len(
            await connection.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
                " AND datname = current_database()",
                application,
            )
        )
    finally:
        await connection.close()
