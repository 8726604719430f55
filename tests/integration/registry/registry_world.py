"""A registry with its relay and consumers in this process, for tests of what passes between HTTP and Kafka."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiokafka import AIOKafkaProducer
from modelyard_events.codec import Received, Record, decode, encode
from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.routes import RouteChanged
from modelyard_events.topics import ROUTES, Kind, Topic
from modelyard_registry.app import build_app
from modelyard_registry.settings import Settings
from modelyard_runtime.clock import utc_now
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.state.keys import make_key_file
from pydantic import SecretStr

from tests.integration.registry.relay_world import until
from tests.serving import serving
from tests.world.http_client import HttpClient
from tests.world.registry import Registry, an_evidence
from tests.world.signing import Signer, a_registered_signer
from tests.world.topics import Topics

TOKEN = "a-token-for-tests"  # It opens nothing but this test's own registry.
PROJECT = "bank"
NEIGHBOUR = "shop"
SENDER = "nightly-training"
MODEL_TYPE = "loan-risk"
ENDPOINT = "http://127.0.0.1:1/infer"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryWorld:
    """One project of a registry of its own, with the topics that it speaks through."""

    registry: Registry
    http: HttpClient
    producer: AIOKafkaProducer
    bootstrap: str
    prefix: str
    dsn: str
    signer: Signer

    @property
    def project(self) -> str:
        """The project's name."""
        return self.registry.project

    async def a_model(self, name: str, **facts: object) -> None:
        """Create a registered model of the tests' model type; global unless `facts` say otherwise."""
        scope = {"model_type": MODEL_TYPE, "scope": "global"}
        (await self.registry.create_model(name, **{**scope, **facts})).expect(201)

    async def a_version(
        self,
        model: str,
        *,
        to_stage: str = "production",
        deployed: bool = True,
        evidence: Mapping[str, object] | None = None,
    ) -> int:
        """Register a version, record where it answers, and take it up to a stage; answers its number."""
        digest = await self.registry.upload(f"{model} {new_uuid7()}".encode())
        reply = await self.registry.register(
            model, digest=digest, run_id=new_uuid7(), evidence=evidence or an_evidence()
        )
        number = int(reply.expect(201)["number"])
        if to_stage == "development":
            return number
        (await self.registry.move(model, number, "staging")).expect(200, 201)
        if deployed:
            (await self.registry.deploy(model, number, url=ENDPOINT)).expect(200, 201)
        if to_stage != "staging":
            (await self.registry.move(model, number, to_stage)).expect(200, 201)
        return number

    async def route(self) -> Document:
        """The route of the tests' model type, as HTTP answers it."""
        document: Document = (await self.registry.call("GET", f"/routes/{MODEL_TYPE}")).expect(200)
        return document

    async def published_routes(self) -> list[RouteChanged]:
        """Every routing document of this project on the topic, in order."""
        return [
            each.event
            for each in await self.read(ROUTES)
            if isinstance(each.event, RouteChanged) and each.event.project == self.project
        ]

    async def say(
        self, topic: Topic, event: Event, *, source: str, key: str, sequence: int | None = None, event_id: str = ""
    ) -> None:
        """Publish an event as another system would; one that others send is signed by who may send anything."""
        envelope = Envelope(
            id=event_id or new_uuid7(),
            source=source,
            type=event.type,
            subject=key,
            occurred_at=utc_now(),
            sequence=sequence,
        )
        record = encode(event, envelope)
        await self.send(topic, self.signer.sign(record) if topic.kind is Kind.INGEST else record)

    async def send(self, topic: Topic, record: Record) -> None:
        """Publish a record as it is."""
        await self.producer.send_and_wait(
            f"{self.prefix}{topic.name}", key=record.key, value=record.value, headers=list(record.headers)
        )

    async def read(self, topic: Topic) -> list[Received[Event]]:
        """Every event on a topic up to its present end."""
        received = (
            decode(Record(key=record.key, value=record.value, headers=tuple(record.headers)))
            for record in await self.records(topic)
        )
        return [each for each in received if isinstance(each, Received)]

    async def records(self, topic: Topic) -> list[Any]:
        """Every record on a topic up to its present end, as bytes."""
        return await Topics(bootstrap=self.bootstrap, prefix=self.prefix).records(topic)

    async def fetch_value(self, statement: str) -> Any:
        """One value from the database."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()


@asynccontextmanager
async def open_registry_world(
    *, dsn: str, bootstrap: str, prefix: str, directory: Path, ingest_projects: Mapping[str, str] | None = None
) -> AsyncIterator[RegistryWorld]:
    """Serve a registry and wait until it is ready; it takes signed events only, or what `ingest_projects` says."""
    settings = Settings(
        kafka_bootstrap=bootstrap,
        topic_prefix=prefix,
        postgres_dsn=dsn,
        artifact_directory=directory,
        state_key_file=_state_key_file(directory),
        tokens={"ada": SecretStr(TOKEN)},
        outbound_allow=("127.0.0.0/8",),
        ingest_projects=dict(ingest_projects or {}),
        # Nothing answers at the endpoints that these tests make up.
        probe_endpoints=False,
    )
    async with (
        serving(build_app(settings)) as url,
        aiohttp.ClientSession() as session,
        AIOKafkaProducer(bootstrap_servers=bootstrap) as producer,
    ):
        http = HttpClient(session=session, url=url, token=TOKEN)

        async def is_ready() -> bool:
            return (await http.call("GET", "/readyz")).status == 200

        await until(is_ready)
        registry = Registry(http=http, project=PROJECT)
        await registry.found()
        await Registry(http=http, project=NEIGHBOUR).found()
        yield RegistryWorld(
            registry=registry,
            http=http,
            producer=producer,
            bootstrap=bootstrap,
            prefix=prefix,
            dsn=dsn,
            signer=await a_registered_signer(http, actor=SENDER),
        )


def _state_key_file(directory: Path) -> Path:
    file = directory / "state-key.pem"
    make_key_file(file)
    return file
