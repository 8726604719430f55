"""A shadow worker on a real Kafka, an endpoint to ask, and inferences for it to replay."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer
from modelyard_events.codec import Record, encode
from modelyard_events.envelope import Envelope
from modelyard_events.inferences import InferenceCompleted
from modelyard_events.shadows import ShadowReplayCompleted
from modelyard_events.topics import INFERENCES, SHADOW_COMPARISONS
from modelyard_runtime.clock import utc_now
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.publish import build_producer
from modelyard_runtime.topic_setup import ensure_topics
from modelyard_shadow_worker.app import TOPICS, build_app
from modelyard_shadow_worker.settings import Settings
from modelyard_stack import Stack

from tests.serving import serving
from tests.world.published import Published, events_of
from tests.world.topics import Topics
from tests.world.waiting import until

GOOD = {"outputs": [{"name": "score", "datatype": "FP64", "shape": [1, 1], "data": [[10.1]]}]}


class ShadowEndpoint:
    """An endpoint that answers as told, by the path that is asked: `/good`, `/slow`, `/down` and so on."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: Counter[str] = Counter()
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.may_answer = asyncio.Event()
        self.failures_left = 0

    async def answer(self, request: web.Request) -> web.Response:
        """One inference."""
        way = request.match_info["way"]
        body = await request.json()
        self.asked[str(body["id"])] += 1
        self.requests.append((dict(request.headers), body))
        match way:
            case "held":
                await self.may_answer.wait()
            case "slow":
                await asyncio.sleep(30)
            case "down":
                return web.json_response({"error": "out of order"}, status=503)
            case "shaky" if self.failures_left > 0:
                self.failures_left -= 1
                return web.json_response({"error": "not now"}, status=503)
            case "refusing":
                return web.json_response({"error": "no such input"}, status=400)
            case "nonsense":
                return web.Response(body=b"<html>hello</html>")
            case "shapeless":
                return web.json_response({"outputs": [{"name": "score"}]})
            case "other-version":
                return web.json_response({**GOOD, "model_version": "8"})
            case "other-digest":
                return web.json_response({**GOOD, "parameters": {"digest": f"sha256:{'f' * 64}"}})
        return web.json_response({**GOOD, "model_version": "7"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowing:
    """Where inferences are published and comparisons read."""

    stack: Stack
    prefix: str
    endpoint: ShadowEndpoint
    producer: AIOKafkaProducer
    topics: Topics

    def settings(self, **changes: Any) -> Settings:
        """Settings of a worker that gives up soon."""
        values: dict[str, Any] = {
            "kafka_bootstrap": self.stack.addresses.kafka_bootstrap,
            "topic_prefix": self.prefix,
            "outbound_allow": ("127.0.0.0/8",),
            "shadow_backoff_initial_s": 0.01,
            "shutdown_grace_s": 0.5,
        }
        return Settings(**{**values, **changes})

    @asynccontextmanager
    async def worker(self, **changes: Any) -> AsyncIterator[None]:
        """The service in this process, until the block ends."""
        async with serving(build_app(self.settings(**changes))):
            yield

    def inference(
        self, number: int, *, way: str = "good", timeout_s: float = 0.5, **changes: Any
    ) -> InferenceCompleted:
        """An inference that was served by an industry model and has a shadow."""
        document: dict[str, Any] = {
            "inference_id": f"inference-{number}",
            "project": "default",
            "model_type": "risk_scoring",
            "tenant": "CA",
            "industry": "debt_consolidation",
            "served": {
                "version_id": "v-served", "model": "risk-debt", "number": 3, "semver": "1.0.2",
                "digest": f"sha256:{'a' * 64}", "scope": "industry",
            },
            "reason": "industry_champion",
            "route_revision": 1,
            "cache": "miss",
            "outcome": "served",
            "inputs": [
                {"name": "amount", "datatype": "FP32", "shape": [1, 1], "data": [[5000.0]]},
                {"name": "purpose", "datatype": "BYTES", "shape": [1, 1], "data": [["car"]]},
            ],
            "outputs": [{"name": "score", "datatype": "FP64", "shape": [1, 1], "data": [10.0]}],
            "latency_ms": 4.0,
            "shadow": {
                "version_id": "v-shadow", "model": "risk-global", "number": 7,
                "digest": f"sha256:{'b' * 64}",
                "endpoint": {
                    "url": f"{self.endpoint.url}/{way}/infer", "protocol": "open-inference-v2",
                    "inputs": [{"name": "amount", "datatype": "FP32"}], "timeout_s": timeout_s,
                },
            },
        }  # fmt: skip
        return InferenceCompleted.model_validate({**document, **changes})

    async def publish(self, *inferences: InferenceCompleted, occurred_at: datetime | None = None) -> None:
        """Publish inferences as the router does, each about a unit of its own."""
        for inference in inferences:
            envelope = Envelope(
                id=new_uuid7(),
                source="/modelyard/router/test",
                type=InferenceCompleted.type,
                subject=f"default/risk_scoring/{inference.inference_id}",
                occurred_at=occurred_at or utc_now(),
            )
            await self.send(encode(inference, envelope))

    async def send(self, record: Record) -> None:
        """Publish a record as it is."""
        await self.producer.send_and_wait(
            f"{self.prefix}{INFERENCES.name}",
            key=record.key,
            value=record.value,
            headers=list(record.headers),
        )

    async def facts(self, *, count: int) -> list[Published]:
        """The terminal facts, once there are at least so many."""
        return await until(lambda: self.topics.published(SHADOW_COMPARISONS), lambda found: len(found) >= count)

    async def fact(self) -> ShadowReplayCompleted:
        """The only terminal fact."""
        (fact,) = events_of(await self.facts(count=1), ShadowReplayCompleted)
        return fact


@pytest.fixture
async def endpoint() -> AsyncIterator[ShadowEndpoint]:
    served = ShadowEndpoint()
    app = web.Application()
    app.router.add_post("/{way}/infer", served.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    served.may_answer.set()
    await runner.cleanup()


@pytest.fixture
async def shadowing(stack: Stack, topic_prefix: str, endpoint: ShadowEndpoint) -> AsyncIterator[Shadowing]:
    bootstrap = stack.addresses.kafka_bootstrap
    async with AsyncExitStack() as opened:
        await ensure_topics(kafka=KafkaConnection(bootstrap=bootstrap), prefix=topic_prefix, topics=TOPICS)
        producer = build_producer(kafka=KafkaConnection(bootstrap=bootstrap), client_id="test", linger_ms=0)
        await producer.start()
        opened.push_async_callback(producer.stop)
        yield Shadowing(
            stack=stack,
            prefix=topic_prefix,
            endpoint=endpoint,
            producer=producer,
            topics=Topics(bootstrap=bootstrap, prefix=topic_prefix),
        )
