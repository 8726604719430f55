"""The cache invalidator's wiring: entity changes in, by Kafka and HTTP; purges and facts out."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from faststream.kafka import KafkaBroker
from modelyard_events.topics import ACCESS, ACCESS_REFUSALS, CACHE_INVALIDATIONS, ENTITY_CHANGES, topic_named
from modelyard_prediction_cache import PredictionCache, connect, random_nonce
from modelyard_runtime.access.access_state import AccessState
from modelyard_runtime.access.authentication import Authentication
from modelyard_runtime.access.oidc import IdentityProviders
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.access.principals import Principals
from modelyard_runtime.access.refusals import RefusalFacts, install_refusals
from modelyard_runtime.access.unknown_callers import UnknownCallers
from modelyard_runtime.clock import Clock, utc_now
from modelyard_runtime.consume import (
    ConsumePolicy,
    Consumption,
    DeadLetters,
    RefusedSender,
    Senders,
    build_broker,
    consume_batches,
)
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.health import Health, operations
from modelyard_runtime.http.head_requests import HeadRequests
from modelyard_runtime.http.openapi_documents import install_document, show_examples
from modelyard_runtime.ids import NewId, new_uuid7
from modelyard_runtime.lifecycle import beside
from modelyard_runtime.problems import ForbiddenError, install_problems
from modelyard_runtime.publish import Publisher, build_producer
from modelyard_runtime.publish.fact_queue import FactQueue
from modelyard_runtime.publish.fact_sequence import fact_sequence
from modelyard_runtime.publish.replaceable_producer import ReplaceableProducer
from modelyard_runtime.service_app import ServiceApp, access_log_of
from modelyard_runtime.topic_setup import ensure_topics

from modelyard_cache_invalidator.cache_watch import CacheWatch, PurgesGoOn
from modelyard_cache_invalidator.handlers import SOURCE, Handlers
from modelyard_cache_invalidator.http import changes
from modelyard_cache_invalidator.settings import Settings

TOPICS = (ACCESS, ACCESS_REFUSALS, ENTITY_CHANGES, CACHE_INVALIDATIONS, topic_named(ENTITY_CHANGES.dead_letter_name))
REFUSALS_DRAIN_S = 1.0
KEY_ATTEMPTS_MAX = 4
"""News of a key may come after the first event that it signed; these attempts last most of a second."""
STOP_MARGIN_S = 5.0
"""What a stop may take beyond draining: the last commit, leaving the group."""


def build_app(settings: Settings, *, clock: Clock = utc_now, new_id: NewId = new_uuid7) -> FastAPI:
    """The service as an ASGI application; what it needs is opened by its lifespan, and closed in reverse."""
    access = AccessState(
        kafka=settings.kafka,
        prefix=settings.topic_prefix,
        keys=settings.trusted_state_keys,
        seconds=time.monotonic,
        clock=clock,
    )
    health = Health([access])
    fetcher = Fetcher(allow=settings.outbound_allow)
    providers = IdentityProviders(settings.oidc_issuers, fetcher=fetcher, clock=clock, seconds=time.monotonic)
    unknown = UnknownCallers(clock=clock)
    refusals = RefusalFacts("cache_invalidator", clock=clock, new_id=new_id)
    authentication = Authentication(
        Principals(settings.tokens, roles=settings.token_roles, issued=access),
        grants=access,
        providers=providers,
        unknown=unknown,
    )
    senders = _senders(access, refusals, settings=settings, clock=clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            await ensure_topics(kafka=settings.kafka, prefix=settings.topic_prefix, topics=TOPICS)
            health.add(await opened.enter_async_context(beside("access_tail", access.follow())))
            await opened.enter_async_context(fetcher)
            health.add(await opened.enter_async_context(beside("issuer_keys", providers.run())))
            health.add(await opened.enter_async_context(beside("unknown_callers", unknown.run())))
            redis = connect(settings.redis_url, timeout_s=settings.cache_timeout_s)
            opened.push_async_callback(redis.aclose)
            cache = PredictionCache(
                redis,
                new_nonce=random_nonce,
                prefix=settings.cache_prefix,
                timeout_s=settings.cache_timeout_s,
                hold_off_s=settings.cache_hold_off_s,
            )
            watch = CacheWatch(cache)
            health.add(watch)
            health.add(await opened.enter_async_context(beside("cache_watch", watch.run())))
            producer = build_producer(kafka=settings.kafka, client_id="cache-invalidator")
            await producer.start()
            opened.push_async_callback(producer.stop)
            leaving = _refusals_leaving(refusals, producer, settings=settings, clock=clock, new_id=new_id)
            health.add(await opened.enter_async_context(leaving))
            app.state.handlers = Handlers(
                cache=cache,
                publisher=Publisher(producer, source=SOURCE, prefix=settings.topic_prefix, clock=clock, new_id=new_id),
                version_sources=settings.version_sources,
                clock=clock,
                new_id=new_id,
            )
            broker = build_broker(
                kafka=settings.kafka,
                client_id="cache-invalidator",
                graceful_timeout_s=settings.shutdown_grace_s + STOP_MARGIN_S,
            )
            consumption = _subscribe(broker, app.state.handlers, producer, senders, settings=settings, clock=clock)
            health.add(PurgesGoOn(consumption))
            await broker.start()
            opened.push_async_callback(broker.stop)
            yield

    app = ServiceApp(
        new_id=new_id,
        access_log=access_log_of(settings),
        title="Modelyard cache invalidator",
        summary="Purges cached predictions when an entity changes.",
        version="1.0",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.add_middleware(HeadRequests)
    install_problems(app)
    install_refusals(app, refusals)
    app.include_router(operations(health))
    app.include_router(changes(authentication))
    install_document(app, show_examples)
    return app


@asynccontextmanager
async def _refusals_leaving(
    refusals: RefusalFacts, producer: ReplaceableProducer, *, settings: Settings, clock: Clock, new_id: NewId
) -> AsyncIterator[FactQueue]:
    """Let refusals leave by a queue; on leaving, what is queued gets a moment to go out."""
    kept = settings.state_directory
    # A place of its own below it: a router on the same machine may have been given the same directory.
    with fact_sequence(kept and kept / "cache-invalidator", new_id=new_id) as sequence:
        queue = FactQueue(
            producer,
            source=f"{SOURCE}/{sequence.instance}",
            prefix=settings.topic_prefix,
            clock=clock,
            new_id=new_id,
            take_sequence=sequence.take,
        )
        refusals.queue = queue
        async with beside("refusal_facts", queue.run()):
            try:
                async with beside("refusals", refusals.run()):
                    yield queue
            finally:
                await queue.drain(REFUSALS_DRAIN_S)


def _subscribe(
    broker: KafkaBroker,
    handlers: Handlers,
    producer: ReplaceableProducer,
    senders: Senders,
    *,
    settings: Settings,
    clock: Clock,
) -> Consumption:
    return consume_batches(
        broker,
        ENTITY_CHANGES,
        prefix=settings.topic_prefix,
        group=f"{settings.topic_prefix}{settings.consumer_group}",
        on_batch=handlers.on_entity_changes,
        start_offsets=None,
        dead_letters=DeadLetters(producer),
        clock=clock,
        policy=ConsumePolicy(poll_records_max=settings.purges_per_batch_max, drain_timeout_s=settings.shutdown_grace_s),
        senders=senders,
    )


def _senders(access: AccessState, refusals: RefusalFacts, *, settings: Settings, clock: Clock) -> Senders:
    """The judge of who may say that an entity changed; whoever is known and may not is put on record."""

    async def on_refused(refused: RefusedSender) -> None:
        error = ForbiddenError(
            refused.detail,
            fix="Register a key that fits: POST /api/v1/access/signing-keys.",
            permission=str(Permission.ENTITIES_CHANGE),
            project=refused.key.project,
        )
        refusals.note(
            error,
            actor=refused.key.qualified_actor,
            method="CONSUME",
            path=f"/{refused.topic.name}",
            request_id=refused.received.envelope.id,
        )

    return Senders(
        ENTITY_CHANGES,
        find_key=access.find_signing_key,
        ingest_projects=settings.ingest_projects,
        clock=clock,
        key_attempts_max=KEY_ATTEMPTS_MAX,
        on_refused=on_refused,
    )
