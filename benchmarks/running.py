"""A system to measure: the stack, some of the services, and clients; small and quiet otherwise."""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError
from modelyard_examples.registry_client import Document, RegistryClient
from modelyard_examples.router_client import RouterClient
from modelyard_stack import Stack
from modelyard_stack.system import System

ARTIFACT = b"an artifact of a benchmark"
DIGEST = f"sha256:{hashlib.sha256(ARTIFACT).hexdigest()}"
MODEL_TYPE = "risk_scoring"
METRIC = {"primary_metric": "rmse", "higher_is_better": False}
UNASKED_URL = "http://127.0.0.1:9/infer"
# Nothing answers there: the registry must not ask before a promotion.
SETTINGS = {"MODELYARD_PROBE_ENDPOINTS": "false"}
CHECKOUT = Path(__file__).parent.parent
HOP_TOPIC = "benchmark-hops.v1"
POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Running servers and services with a client each."""

    stack: Stack
    system: System
    registry: RegistryClient
    router: RouterClient

    @property
    def router_url(self) -> str:
        """Where the router answers."""
        return self.system.service("router").url

    async def run_beside(self, module: str, *arguments: str) -> str:
        """Run a module of this package as a server; answers its URL."""
        service = await self.system.run(
            module,
            module=f"benchmarks.{module}",
            arguments=arguments,
            port_argument="--port",
            environment={"PYTHONPATH": str(CHECKOUT)},
        )
        return service.url

    async def champion(self, model: str, *, scope: Document | None = None, **version: Any) -> int:
        """Register a model with one version in production; answers the version's number.

        `scope` says for whom it serves, everybody if not given; for the rest see `canary`.
        """
        document = {"name": model, "model_type": MODEL_TYPE, **METRIC, **(scope or {"scope": "global"})}
        await self.registry.create_registered_model(document)
        number = await self.canary(model, **version)
        await self.registry.transition(model, number, to_stage="production", reason="benchmark")
        return number

    async def canary(self, model: str, *, url: str = UNASKED_URL, evidence: Document | None = None) -> int:
        """Register a version that answers at `url` and take it as far as canary; answers its number."""
        await self.registry.upload_artifact(DIGEST, ARTIFACT)
        version = await self.registry.register_version(model, {"digest": DIGEST, "evidence": evidence or {}})
        number = int(version["number"])
        await self.registry.transition(model, number, to_stage="staging", reason="benchmark")
        await self.registry.record_deployment(model, number, url=url)
        await self.registry.transition(model, number, to_stage="canary", reason="benchmark")
        return number


@asynccontextmanager
async def running(services: Sequence[str], *, settings: Mapping[str, str] | None = None) -> AsyncIterator[Running]:
    """Start servers and services, with some `settings` of their own; stop them at the end."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    chosen = {**SETTINGS, **(settings or {})}
    async with Stack.start() as stack, System.start(stack, services=services, settings=chosen) as system:
        url_of = {name: service.url for name, service in system.services.items()}
        registry, router = url_of.get("registry", ""), url_of.get("router", "")
        async with (
            RegistryClient(registry, token=system.tokens["ada"]) as registry_client,
            RouterClient(router, token=system.tokens["gateway"]) as router_client,
        ):
            yield Running(stack=stack, system=system, registry=registry_client, router=router_client)


@asynccontextmanager
async def bare_hop(bootstrap: str) -> AsyncIterator[Callable[[], Coroutine[Any, Any, float]]]:
    """A function that measures one bare hop in ms: from before an acknowledged send until a consumer has the record.

    Producer and consumer are in this process and on a topic of their own: nothing but the broker between them.
    """
    await _make_topic(bootstrap)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="latest", enable_auto_commit=False)
    async with producer, consumer:
        consumer.assign([TopicPartition(HOP_TOPIC, 0)])
        await consumer.seek_to_end()

        async def hop() -> float:
            # Not the loop's clock: uvloop's counts whole milliseconds.
            started_at = time.perf_counter()
            sending = asyncio.ensure_future(producer.send_and_wait(HOP_TOPIC, b"hop", key=b"hop"))
            await consumer.getone()
            arrived_at = time.perf_counter()
            await sending
            return (arrived_at - started_at) * 1_000

        await hop()
        yield hop


def cpu_seconds(url: str) -> float:
    """The processor time so far of the process that listens at `url`, on this machine."""
    port = urlsplit(url).port
    for connection in psutil.net_connections(kind="tcp4"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            times = psutil.Process(connection.pid).cpu_times()
            return times.user + times.system
    raise LookupError(f"nobody listens at {url}")


async def wait_until(condition: Callable[[], Awaitable[bool]], *, within_s: float) -> None:
    """Return when the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(POLL_S)


async def _make_topic(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(HOP_TOPIC, num_partitions=1, replication_factor=1)])
    except TopicAlreadyExistsError:
        return
    finally:
        await admin.close()
