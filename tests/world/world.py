"""A whole system for tests: servers, services, a model server beside them, and the ways in and out of it."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
from aiokafka import AIOKafkaProducer
from modelyard_events.codec import Record, encode
from modelyard_events.entities import EntityChanged
from modelyard_events.envelope import Envelope
from modelyard_events.topics import ENTITY_CHANGES, Kind, Topic
from modelyard_stack import Stack
from modelyard_stack.server import Server
from modelyard_stack.system import SERVICES, System

from tests.world.http_client import HttpClient
from tests.world.model_server import ModelServer, serve_models
from tests.world.registry import Registry
from tests.world.router import Router
from tests.world.signing import Signer, a_registered_signer
from tests.world.topics import PurgesSeen, Topics, follow_purges

ENTITY_TYPE = "loan"
SYSTEM_OF_RECORD = "urn:test:loan-book"
REQUEST_TIMEOUT_S = 15.0
# Some tests promote what is broken on purpose: whether endpoints are asked before is tested beside the registry.
SETTINGS = {"MODELYARD_PROBE_ENDPOINTS": "false"}
CONNECT_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The four services on a stack, and those around them."""

    stack: Stack
    system: System
    models: ModelServer
    topics: Topics
    purges: PurgesSeen
    producer: AIOKafkaProducer
    session: aiohttp.ClientSession
    postgres_dsn: str
    signer: Signer | None

    def http(self, service: str, *, actor: str | None) -> HttpClient:
        """A service as `actor` sees it; as a stranger sees it when that is None."""
        token = None if actor is None else self.system.tokens[actor]
        return HttpClient(session=self.session, url=self.system.service(service).url, token=token)

    def server(self, name: str) -> Server:
        """One of its processes, to be killed, frozen and started."""
        servers = {"kafka": self.stack.kafka, "postgres": self.stack.postgres, "valkey": self.stack.valkey}
        return servers.get(name) or self.system.service(name).server

    def registry(self, *, project: str, actor: str | None = "ada") -> Registry:
        return Registry(http=self.http("registry", actor=actor), project=project)

    def router(self, *, actor: str | None = "gateway") -> Router:
        return Router(http=self.http("router", actor=actor))

    async def change_entity(self, entity_id: str, *, tenant: str) -> int:
        """Change an entity and tell of it, as its system of record would; answers the new version."""
        version = self.models.change(entity_id, tenant=tenant)
        await self.say_changed(entity_id, tenant=tenant, version=version)
        return version

    async def say_changed(self, entity_id: str, *, tenant: str, version: int) -> None:
        """Publish that an entity has a version now."""
        changed = EntityChanged(tenant=tenant, entity_type=ENTITY_TYPE, entity_id=entity_id, version=version)
        envelope = Envelope(
            id=str(uuid.uuid4()),
            source=SYSTEM_OF_RECORD,
            type=changed.type,
            subject=f"{tenant}/{ENTITY_TYPE}/{entity_id}",
            occurred_at=datetime.now(UTC),
        )
        await self.send(ENTITY_CHANGES, encode(changed, envelope))

    async def send(self, topic: Topic, record: Record) -> None:
        """Publish a record, and wait until the broker has it; others' events are signed by who may send anything."""
        if topic.kind is Kind.INGEST and self.signer is not None:
            record = self.signer.sign(record)
        await self.send_as_it_is(topic, record)

    async def send_as_it_is(self, topic: Topic, record: Record) -> None:
        """Publish a record whoever it is from, and wait until the broker has it."""
        await self.producer.send_and_wait(
            self.topics.prefix + topic.name,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
        )

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection to the registry's database, to look."""
        connection = await asyncpg.connect(self.postgres_dsn)
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def open_world(
    stack: Stack, *, redis_url: str | None = None, services: Sequence[str] = SERVICES
) -> AsyncIterator[World]:
    """A system of its own on `stack`: its own database, topics and cache, removed or forgotten at the end."""
    prefix = f"world-{uuid.uuid4().hex[:8]}."
    async with AsyncExitStack() as opened:
        dsn = await opened.enter_async_context(_database(stack))
        models = await opened.enter_async_context(serve_models())
        system = await opened.enter_async_context(
            System.start(
                stack,
                topic_prefix=prefix,
                postgres_dsn=dsn,
                redis_url=redis_url,
                services=services,
                settings=SETTINGS,
            )
        )
        topics = Topics(bootstrap=stack.addresses.kafka_bootstrap, prefix=prefix)
        producer = await opened.enter_async_context(_producer(stack))
        purges = await opened.enter_async_context(follow_purges(topics))
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        session = await opened.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        signer = await _signer(system, session) if "registry" in services else None
        yield World(
            stack=stack,
            system=system,
            models=models,
            topics=topics,
            purges=purges,
            producer=producer,
            session=session,
            postgres_dsn=dsn,
            signer=signer,
        )


async def _signer(system: System, session: aiohttp.ClientSession) -> Signer:
    admin = HttpClient(session=session, url=system.service("registry").url, token=system.tokens["ada"])
    return await a_registered_signer(admin)


@asynccontextmanager
async def _database(stack: Stack) -> AsyncIterator[str]:
    name = f"world_{uuid.uuid4().hex}"
    await _execute(stack.addresses.postgres_dsn, f"create database {name}")
    yield urlunsplit(urlsplit(stack.addresses.postgres_dsn)._replace(path=f"/{name}"))
    await _execute(stack.addresses.postgres_dsn, f"drop database {name} with (force)")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def _producer(stack: Stack) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=stack.addresses.kafka_bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
