"""On a broker with TLS, logins and the catalogue's ACLs each service does its work, and nobody does another's."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)
from modelyard_cache_invalidator import app as cache_invalidator
from modelyard_cache_invalidator.settings import Settings as InvalidatorSettings
from modelyard_events.acls import PARTIES, SERVICES, writers_of
from modelyard_events.topics import ACCESS, ACCESS_REFUSALS, AUDIT_LOG, CACHE_INVALIDATIONS, ROUTES, TOPICS, Topic
from modelyard_registry import app as registry
from modelyard_registry.settings import Settings as RegistrySettings
from modelyard_router import app as router
from modelyard_router.settings import Settings as RouterSettings
from modelyard_runtime.kafka_connection import KafkaConnection
from modelyard_runtime.publish import build_producer
from modelyard_runtime.state.keys import make_key_file
from modelyard_shadow_worker import app as shadow_worker
from modelyard_shadow_worker.settings import Settings as ShadowWorkerSettings
from modelyard_stack import Stack
from pydantic import SecretStr

from tests.integration.secured.broker import STRANGER, SecuredBroker, secured_broker
from tests.serving import serving
from tests.world.http_client import HttpClient
from tests.world.model_server import ENTITY_VERSION, serve_models
from tests.world.registry import Registry
from tests.world.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PREFIX = "bank."
PROJECT = "lender"
MODEL = "risk"
TOKEN = "the-token-of-ada"
BELIEVED = (ROUTES, ACCESS, ACCESS_REFUSALS, CACHE_INVALIDATIONS, AUDIT_LOG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """The four services, each with a user of its own on one broker."""

    broker: SecuredBroker
    services: dict[str, HttpClient]


@pytest.fixture(scope="module")
async def secured(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    place = tmp_path_factory.mktemp("secured")
    key_file = place / "state-key.pem"
    public_key = make_key_file(key_file).public_key
    common: dict[str, Any] = {
        "topic_prefix": PREFIX,
        "tokens": {"ada": SecretStr(TOKEN)},
        "outbound_allow": ("127.0.0.0/8",),
        "shutdown_grace_s": 1.0,
    }
    async with AsyncExitStack() as opened:
        dsn = await opened.enter_async_context(a_database(stack))
        broker = await opened.enter_async_context(secured_broker(prefix=PREFIX))
        session = await opened.enter_async_context(aiohttp.ClientSession())
        services: dict[str, HttpClient] = {}

        async def start(name: str, app: Any) -> None:
            url = await opened.enter_async_context(serving(app))
            services[name] = HttpClient(session=session, url=url, token=TOKEN)
            await until(lambda: services[name].call("GET", "/readyz"), lambda reply: reply.status == 200)

        of_registry: dict[str, Any] = {
            "postgres_dsn": dsn,
            "artifact_directory": place / "artifacts",
            "bootstrap_token_file": place / "token",
            "state_key_file": key_file,
        }
        reading: dict[str, Any] = {
            "state_keys": (public_key,),
            "redis_url": stack.addresses.redis_url,
            "cache_timeout_s": 1.0,
        }
        await start(
            "registry", registry.build_app(RegistrySettings(**common, **broker.login("registry"), **of_registry))
        )
        await start("router", router.build_app(RouterSettings(**common, **broker.login("router"), **reading)))
        await start(
            "cache_invalidator",
            cache_invalidator.build_app(InvalidatorSettings(**common, **broker.login("cache-invalidator"), **reading)),
        )
        await start(
            "shadow_worker",
            shadow_worker.build_app(ShadowWorkerSettings(**common, **broker.login("shadow-worker"))),
        )
        yield Secured(broker=broker, services=services)


async def test_each_service_does_its_work_as_its_own_user(secured: Secured) -> None:
    (await secured.services["registry"].call("POST", "/api/v1/projects", {"name": PROJECT})).expect(201)
    models_of = Registry(http=secured.services["registry"], project=PROJECT)
    async with serve_models() as models:
        (await models_of.create_model(MODEL, model_type="risk_scoring", scope="global")).expect(201)
        await models_of.release(MODEL, models=models, artifact=b"a model", run_id="run-1")

        def serving_it(reply: Any) -> bool:
            return bool(reply.status == 200)

        question = {
            "inputs": [
                {"name": ENTITY_VERSION, "datatype": "INT64", "shape": [1], "data": [1]},
                {"name": "amount", "datatype": "FP64", "shape": [1], "data": [1.0]},
            ],
            "parameters": {"project": PROJECT, "model_type": "risk_scoring", "tenant": "t", "unit_id": "u"},
        }
        await until(lambda: secured.services["router"].call("POST", "/v1/predict", question), serving_it)
    change = {"tenant": "t", "entity_type": "loan", "entity_id": "1"}
    purged = await secured.services["cache_invalidator"].call("POST", "/v1/entity-changes", change)
    default = Registry(http=secured.services["registry"], project="default")
    entries = await until(lambda: default.items("/audit-entries?action=entity.purged"), lambda found: bool(found))

    assert purged.status == 202
    assert entries[0]["actor"] == "service:cache_invalidator"
    assert await record_count(secured.broker, "shadow-worker") > 0
    for name, service in secured.services.items():
        ready = (await service.call("GET", "/readyz")).expect(200)
        assert not ready["degraded"], (name, ready)


@pytest.mark.parametrize("user", [STRANGER, "training-job", "system-of-record", "router", "follower"])
async def test_nobody_writes_what_services_believe_but_those_whose_topic_it_is(secured: Secured, user: str) -> None:
    for topic in BELIEVED:
        if user not in writers_of(topic):
            assert not await may_write(secured.broker, user, topic), topic.name
    assert await may_write(secured.broker, user, TOPICS[0]) is (user == "training-job")


async def test_a_stranger_reads_nothing_and_whoever_has_no_password_is_not_let_in(secured: Secured) -> None:
    login = secured.broker.settings(STRANGER)

    for topic in (ROUTES, ACCESS):
        # To who may not even see that a topic is there, the client only says that it never learned of it.
        with pytest.raises((TopicAuthorizationFailedError, KafkaTimeoutError)):
            await read_ends(login.kafka, topic)
    for changes in ({"kafka_sasl_password": SecretStr("wrong")}, {"kafka_sasl_username": "nobody"}):
        with pytest.raises(KafkaError):
            await read_ends(login.model_copy(update=changes).kafka, ROUTES)
    with pytest.raises(KafkaError):
        await read_ends(KafkaConnection(bootstrap=secured.broker.bootstrap), ROUTES)


def test_every_party_has_a_user_here(secured: Secured) -> None:
    assert set(PARTIES) <= set(secured.broker.passwords)
    assert set(secured.services) == set(SERVICES)


async def may_write(broker: SecuredBroker, user: str, topic: Topic) -> bool:
    """Whether the broker takes a record of this user on a topic."""
    producer = build_producer(kafka=broker.settings(user).kafka, client_id="test", linger_ms=0)
    try:
        await producer.start()
        await producer.send_and_wait(f"{PREFIX}{topic.name}", key=b"forged", value=b"{}")
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
        return False
    finally:
        await producer.stop()
    return True


async def read_ends(kafka: KafkaConnection, topic: Topic) -> dict[TopicPartition, int]:
    """Where a topic ends, asked as a reader asks."""
    consumer = AIOKafkaConsumer(**kafka.client_options(), auto_offset_reset="earliest", request_timeout_ms=5_000)
    try:
        await consumer.start()
        partitions = [TopicPartition(f"{PREFIX}{topic.name}", number) for number in range(topic.partitions)]
        consumer.assign(partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return ends
    finally:
        await consumer.stop()


async def record_count(broker: SecuredBroker, user: str) -> int:
    """How many inferences there are, for a user who may read them."""
    (inferences,) = (topic for topic in TOPICS if topic.name == "inferences.v1")
    ends = await until(
        lambda: read_ends(broker.settings(user).kafka, inferences), lambda found: sum(found.values()) > 0
    )
    return sum(ends.values())


@asynccontextmanager
async def a_database(stack: Stack) -> AsyncIterator[str]:
    """A database of its own, dropped at the end."""
    name = f"secured_{uuid.uuid4().hex}"
    connection = await asyncpg.connect(stack.addresses.postgres_dsn)
    try:
        await connection.execute(f"create database {name}")
        yield urlunsplit(urlsplit(stack.addresses.postgres_dsn)._replace(path=f"/{name}"))
        await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()
