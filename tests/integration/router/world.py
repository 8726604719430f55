"""A router with everything around it in one process: a model server, a feature source, and Kafka's topics."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from modelyard_events.codec import Received, Record, decode
from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.inferences import ExposureRecorded, InferenceCompleted
from modelyard_events.routes import FeatureSource, RouteChanged
from modelyard_events.topics import ACCESS, ACCESS_REFUSALS, INFERENCES, ROUTES
from modelyard_events.values import Endpoint, Feature, Protocol
from modelyard_router.app import build_app
from modelyard_router.settings import Settings
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.topic_setup import ensure_topics

from tests.serving import serving
from tests.world.state_signing import STATE_KEYS, signed_document

DEADLINE_S = 30.0
TOKEN = "a-token-of-the-test"
INCOME = Feature(name="income", datatype="FP32")
GRADE = Feature(name="grade", datatype="BYTES")

Document = dict[str, Any]


async def eventually(is_so: Callable[[], Any], *, within_s: float = DEADLINE_S) -> None:
    """Wait until `is_so` answers something true (it may be a coroutine function)."""
    async with asyncio.timeout(within_s):
        while True:
            answer = is_so()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if answer:
                return
            await asyncio.sleep(0.01)


@dataclass
class Models:
    """A model server. `answer` may be replaced to make it slow, absent or talk nonsense."""

    asked: list[tuple[str, int, Document]] = field(default_factory=list)
    behave: dict[str, Callable[[], Any]] = field(default_factory=dict)
    digests: dict[tuple[str, int], str] = field(default_factory=dict)
    intercept: Callable[[web.Request], Awaitable[web.Response]] | None = None
    url: str = ""

    async def infer(self, request: web.Request) -> web.Response:
        if self.intercept is not None:
            return await self.intercept(request)
        model, number = request.match_info["model"], int(request.match_info["number"])
        body = await request.json()
        self.asked.append((model, number, body))
        if behaviour := self.behave.get(model):
            special = behaviour()
            if asyncio.iscoroutine(special):
                special = await special
            if special is not None:
                assert isinstance(special, web.Response)
                return special
        return web.json_response(
            {
                "model_name": model,
                "model_version": str(number),
                "id": body["id"],
                "outputs": [{"name": "rate", "datatype": "FP32", "shape": [1, 1], "data": [number + 0.5]}],
            }
        )

    def endpoint(
        self, model: str, number: int = 1, *, inputs: tuple[Feature, ...] = (INCOME,), **more: Any
    ) -> Endpoint:
        """Where `model`/`number` answers."""
        return Endpoint(
            **{
                "url": f"{self.url}/v2/models/{model}/versions/{number}/infer",
                "protocol": Protocol.OPEN_INFERENCE_V2,
                "inputs": inputs,
                "timeout_s": 5.0,
                **more,
            }
        )


@dataclass
class Features:
    """A feature source: what it knows by entity id, and who asked for what."""

    known: dict[str, Document] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    behave: Callable[[], Any] | None = None
    url: str = ""

    async def read(self, request: web.Request) -> web.Response:
        self.paths.append(request.raw_path)
        if self.behave is not None:
            special = self.behave()
            if asyncio.iscoroutine(special):
                special = await special
            if special is not None:
                assert isinstance(special, web.Response)
                return special
        document = self.known.get(request.match_info["entity"])
        return web.json_response(document) if document else web.json_response({}, status=404)

    def source(self, **more: Any) -> FeatureSource:
        """This source, as a routing document names it."""
        return FeatureSource(
            **{"url_template": f"{self.url}/{{tenant}}/{{entity_type}}/{{entity_id}}", "timeout_s": 5.0, **more}
        )


@dataclass
class Topics:
    """The topics of one test: publish routing documents, read facts."""

    bootstrap: str
    prefix: str
    producer: AIOKafkaProducer

    async def publish(self, document: RouteChanged, *, generation: int = 1, sequence: int | None = None) -> None:
        """Send a routing document as the registry does."""
        envelope = Envelope(
            id=f"{document.revision}-{generation}",
            source="/modelyard/registry",
            type=document.type,
            subject=f"{document.project}/{document.model_type}",
            occurred_at=datetime(2026, 11, 21, tzinfo=UTC),
            sequence=document.revision if sequence is None else sequence,
            generation=generation,
        )
        await self.send(signed_document(document, envelope))

    async def send(self, record: Record) -> None:
        """Send a record to the routes topic as it is."""
        await self.producer.send_and_wait(
            f"{self.prefix}{ROUTES.name}", key=record.key, value=record.value, headers=list(record.headers)
        )

    async def facts(self) -> list[tuple[Envelope, Event]]:
        """Every fact that was published so far, in the order of its source."""
        topic = f"{self.prefix}{INFERENCES.name}"
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in range(INFERENCES.partitions)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            await consumer.seek_to_beginning(*partitions)
            facts: list[tuple[Envelope, Event]] = []
            while not await _reached(consumer, ends):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    facts.extend(_fact(record) for record in records)
        finally:
            await consumer.stop()
        return sorted(facts, key=lambda fact: (fact[0].source, fact[0].sequence or 0))

    async def inferences(self, count: int) -> list[InferenceCompleted]:
        """The inference facts, once there are `count` of them."""
        found: list[InferenceCompleted] = []

        async def are_there() -> bool:
            found[:] = [event for _, event in await self.facts() if isinstance(event, InferenceCompleted)]
            return len(found) >= count

        await eventually(are_there)
        return found

    async def exposures(self, count: int) -> list[ExposureRecorded]:
        """The exposure facts, once there are `count` of them."""
        found: list[ExposureRecorded] = []

        async def are_there() -> bool:
            found[:] = [event for _, event in await self.facts() if isinstance(event, ExposureRecorded)]
            return len(found) >= count

        await eventually(are_there)
        return found


@dataclass
class Router:
    """A running router, as a gateway sees it."""

    url: str
    session: aiohttp.ClientSession

    async def post(
        self, path: str, body: object, *, token: str | None = TOKEN, raw: bytes | None = None
    ) -> tuple[int, Document]:
        """Status and JSON of an answer."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        data = json.dumps(body).encode() if raw is None else raw
        async with self.session.post(f"{self.url}{path}", data=data, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def get(self, path: str, *, token: str | None = TOKEN) -> tuple[int, Document]:
        """Status and JSON of an answer."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        async with self.session.get(f"{self.url}{path}", headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def route(self, **attributes: object) -> Document:
        """The answer of `/v1/route`, which must be one."""
        status, answer = await self.post("/v1/route", {"model_type": "risk-scoring", **attributes})
        assert status == 200, answer
        return answer

    async def predict(self, *, inputs: list[Document] | None = None, ok: bool = True, **attributes: object) -> Document:
        """The answer of `/v1/predict`: a prediction if `ok`, else a problem."""
        body = {"inputs": inputs or [], "parameters": {"model_type": "risk-scoring", **attributes}}
        status, answer = await self.post("/v1/predict", body)
        assert (status == 200) is ok, answer
        return answer

    async def revision(self) -> int:
        """The revision of `default/risk-scoring` that serves; 0 without one."""
        _, answer = await self.get("/v1/routes")
        return max((int(route["revision"]) for route in answer["routes"]), default=0)


@dataclass
class World:
    """Everything around a router, and a way to start one."""

    topics: Topics
    models: Models
    features: Features
    settings: Settings
    session: aiohttp.ClientSession

    @asynccontextmanager
    async def router(self, **changes: Any) -> AsyncIterator[Router]:
        """A router that has caught up with the topics, stopped at the end of the block."""
        async with self.starting_router(**changes) as router:
            await eventually(lambda: _is_ready(router))
            yield router

    @asynccontextmanager
    async def starting_router(self, **changes: Any) -> AsyncIterator[Router]:
        """A router that may not have caught up."""
        async with serving(build_app(self.settings.model_copy(update=changes))) as url:
            yield Router(url=url, session=self.session)


async def _is_ready(router: Router) -> bool:
    return (await router.get("/readyz"))[0] == 200


@asynccontextmanager
async def open_world(*, bootstrap: str, prefix: str, redis_url: str) -> AsyncIterator[World]:
    """A world of its own on real Kafka and Valkey."""
    models, features = Models(), Features()
    async with AsyncExitStack() as opened:
        await ensure_topics(
            kafka=KafkaConnection(bootstrap=bootstrap),
            prefix=prefix,
            topics=(ROUTES, ACCESS, ACCESS_REFUSALS, INFERENCES),
        )
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
        await producer.start()
        opened.push_async_callback(producer.stop)
        model_app, feature_app = web.Application(), web.Application()
        model_app.router.add_post("/v2/models/{model}/versions/{number}/infer", models.infer)
        feature_app.router.add_get("/{tenant}/{type}/{entity}", features.read)
        model_server = await opened.enter_async_context(TestServer(model_app))
        feature_server = await opened.enter_async_context(TestServer(feature_app))
        models.url = str(model_server.make_url("")).rstrip("/")
        features.url = str(feature_server.make_url("")).rstrip("/")
        session = await opened.enter_async_context(aiohttp.ClientSession())
        settings = Settings.model_validate(
            {
                "kafka_bootstrap": bootstrap,
                "topic_prefix": prefix,
                "state_keys": STATE_KEYS,
                "redis_url": redis_url,
                "tokens": {"gateway": TOKEN},
                "outbound_allow": ("127.0.0.0/8",),
                # On a busy machine a slow cache is no news; tests of slowness set their own.
                "cache_timeout_s": 1.0,
            }
        )
        yield World(
            topics=Topics(bootstrap=bootstrap, prefix=prefix, producer=producer),
            models=models,
            features=features,
            settings=settings,
            session=session,
        )


async def _reached(consumer: Any, ends: dict[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return False
    return True


def _fact(record: Any) -> tuple[Envelope, Event]:
    decoded = decode(Record(key=record.key, value=record.value, headers=tuple(record.headers)))
    assert isinstance(decoded, Received), decoded
    assert record.key.decode() == decoded.envelope.subject
    return decoded.envelope, decoded.event
