"""A cache invalidator on real servers, a producer to tell it of changes, and the cache that it purges."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from modelyard_cache_invalidator.app import build_app
from modelyard_cache_invalidator.settings import Settings
from modelyard_events.codec import Record, encode
from modelyard_events.entities import EntityChanged
from modelyard_events.envelope import Envelope
from modelyard_events.invalidations import EntityPurged
from modelyard_events.topics import CACHE_INVALIDATIONS, ENTITY_CHANGES
from modelyard_prediction_cache import Entity, PredictionCache, connect, random_nonce
from modelyard_runtime.access.permissions import ALL_PROJECTS
from modelyard_runtime.clock import utc_now
from modelyard_runtime.ids import new_uuid7
from modelyard_runtime.publish import build_producer
from modelyard_stack import Stack
from pydantic import SecretStr

from tests.serving import serving
from tests.world.http_client import HttpClient
from tests.world.published import Published
from tests.world.state_signing import STATE_KEYS
from tests.world.topics import Topics
from tests.world.waiting import until

TOKEN = "a-token-for-tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """The running service and everything around it."""

    settings: Settings
    http: HttpClient
    producer: AIOKafkaProducer
    cache: PredictionCache
    topics: Topics

    async def change(self, entity: Entity, *, version: int | None = None, event_id: str | None = None) -> str:
        """Publish a change as a system of record does; answers the event's id."""
        key = f"{entity.tenant}/{entity.entity_type}/{entity.entity_id}"
        envelope = Envelope(
            id=event_id or new_uuid7(),
            source="/loan-book",
            type=EntityChanged.type,
            subject=key,
            occurred_at=utc_now(),
        )
        event = EntityChanged(
            tenant=entity.tenant,
            entity_type=entity.entity_type,
            entity_id=entity.entity_id,
            version=version,
        )
        await self.send(encode(event, envelope))
        return envelope.id

    async def send(self, record: Record) -> None:
        """Publish a record as it is."""
        await self.producer.send_and_wait(
            f"{self.settings.topic_prefix}{ENTITY_CHANGES.name}",
            key=record.key,
            value=record.value,
            headers=list(record.headers),
        )

    async def cached(self, entity: Entity) -> bool:
        """Whether the entity's prediction is in the cache."""
        return (await self.cache.read(entity, prediction="p1")).prediction is not None

    async def remember(self, entity: Entity) -> None:
        """Put a prediction into the cache."""
        lease = (await self.cache.read(entity, prediction="p1")).lease
        assert lease is not None
        assert await self.cache.fill(entity, lease, prediction="p1", value=b"0.5", reads_entity=False)

    async def takes(self, entity: Entity, *, version: int) -> bool:
        """Whether a prediction from inputs of this version may still be stored."""
        lease = (await self.cache.read(entity, prediction="p1")).lease
        assert lease is not None
        return await self.cache.fill(entity, lease, prediction="p1", value=b"0.5", entity_version=version)

    async def purges(self, *, count: int) -> list[Published]:
        """The purges that were published, once there are at least so many."""
        return await until(lambda: self.topics.published(CACHE_INVALIDATIONS), lambda found: len(found) >= count)


def causes(purges: list[Published]) -> list[str]:
    """Which events the purges were caused by."""
    return [each.event.caused_by for each in purges if isinstance(each.event, EntityPurged)]


@asynccontextmanager
async def running(
    stack: Stack, *, redis_url: str, topic_prefix: str, open_to: str | None = ALL_PROJECTS
) -> AsyncIterator[Invalidation]:
    """The service in this process, until the block ends; `open_to` None takes signed changes only."""
    settings = Settings(
        kafka_bootstrap=stack.addresses.kafka_bootstrap,
        redis_url=redis_url,
        topic_prefix=topic_prefix,
        state_keys=STATE_KEYS,
        tokens={"loan-book": SecretStr(TOKEN)},
        cache_timeout_s=1.0,
        cache_hold_off_s=120.0,
        ingest_projects={} if open_to is None else {ENTITY_CHANGES.name: open_to},
    )
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(serving(build_app(settings)))
        session = await opened.enter_async_context(aiohttp.ClientSession())
        producer = build_producer(kafka=settings.kafka, client_id="test")
        await producer.start()
        opened.push_async_callback(producer.stop)
        redis = connect(redis_url, timeout_s=30.0)
        opened.push_async_callback(redis.aclose)
        invalidation = Invalidation(
            settings=settings,
            http=HttpClient(session=session, url=url, token=TOKEN),
            producer=producer,
            cache=PredictionCache(redis, new_nonce=random_nonce, timeout_s=30.0),
            topics=Topics(bootstrap=settings.kafka_bootstrap, prefix=topic_prefix),
        )
        await until(lambda: invalidation.http.call("GET", "/readyz"), lambda reply: reply.status == 200)
        yield invalidation


@pytest.fixture
async def invalidation(stack: Stack, redis_url: str, topic_prefix: str) -> AsyncIterator[Invalidation]:
    async with running(stack, redis_url=redis_url, topic_prefix=topic_prefix) as opened:
        yield opened
