"""The shadow worker's wiring: it reads inferences, asks shadows and publishes facts. It keeps no state."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from modelyard_events.inferences import InferenceCompleted
from modelyard_events.topics import INFERENCES, SHADOW_COMPARISONS, topic_named
from modelyard_runtime.clock import Clock, utc_now
from modelyard_runtime.consume import ConsumePolicy, DeadLetters, build_broker, consume
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.health import Health, operations
from modelyard_runtime.http.head_requests import HeadRequests
from modelyard_runtime.ids import NewId, new_uuid7
from modelyard_runtime.problems import install_problems
from modelyard_runtime.publish import Publisher, build_producer
from modelyard_runtime.service_app import ServiceApp, access_log_of
from modelyard_runtime.topic_setup import ensure_topics

from modelyard_shadow_worker.adapters.open_inference import OpenInferenceShadow
from modelyard_shadow_worker.domain.compare import Tolerance
from modelyard_shadow_worker.domain.replay import ReplayLimits
from modelyard_shadow_worker.handlers import ReplayHandlers
from modelyard_shadow_worker.rate_limiter import RateLimiter
from modelyard_shadow_worker.replayer import Replayer, RetryLimits
from modelyard_shadow_worker.settings import Settings

SOURCE = "/modelyard/shadow-worker"
TOPICS = (INFERENCES, SHADOW_COMPARISONS, topic_named(INFERENCES.dead_letter_name))
STOP_MARGIN_S = 5.0
"""How long a stop may take after draining, to commit the last offsets and to leave the group."""


def build_app(settings: Settings, *, clock: Clock = utc_now, new_id: NewId = new_uuid7) -> FastAPI:
    """Return the service as an ASGI application. Its lifespan opens what it needs, and closes it in reverse order."""
    health = Health()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            await ensure_topics(kafka=settings.kafka, prefix=settings.topic_prefix, topics=TOPICS)
            fetcher = await opened.enter_async_context(Fetcher(allow=settings.outbound_allow))
            producer = build_producer(kafka=settings.kafka, client_id="shadow-worker")
            await producer.start()
            opened.push_async_callback(producer.stop)
            handlers = ReplayHandlers(
                replayer=build_replayer(settings, fetcher),
                publisher=Publisher(producer, source=SOURCE, prefix=settings.topic_prefix, clock=clock, new_id=new_id),
                limits=ReplayLimits(freshness_s=settings.shadow_freshness_s, lag_max=settings.shadow_lag_max),
                clock=clock,
                lag=lambda: consumption.lag,
            )
            broker = build_broker(
                kafka=settings.kafka,
                client_id="shadow-worker",
                graceful_timeout_s=settings.shutdown_grace_s + STOP_MARGIN_S,
            )
            consumption = consume(
                broker,
                INFERENCES,
                prefix=settings.topic_prefix,
                group=f"{settings.topic_prefix}{settings.consumer_group}",
                on={InferenceCompleted: handlers.on_inference_completed},
                dead_letters=DeadLetters(producer),
                clock=clock,
                policy=ConsumePolicy(
                    concurrency_max=settings.shadow_concurrency_max,
                    drain_timeout_s=settings.shutdown_grace_s,
                ),
            )
            health.add(consumption)
            await broker.start()
            opened.push_async_callback(broker.stop)
            yield

    app = ServiceApp(
        new_id=new_id,
        access_log=access_log_of(settings),
        title="Modelyard shadow worker",
        summary="Replays served requests on the shadow's version and compares the answers.",
        version="1.0",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.add_middleware(HeadRequests)
    install_problems(app)
    app.include_router(operations(health))
    return app


def build_replayer(settings: Settings, fetcher: Fetcher) -> Replayer:
    """Return the replayer with the limits of the settings."""
    return Replayer(
        shadow=OpenInferenceShadow(fetcher),
        rate_limiter=RateLimiter(requests_per_s_max=settings.shadow_replays_per_s_max),
        retry_limits=RetryLimits(
            deadline_s=settings.shadow_deadline_s,
            attempts_max=settings.shadow_attempts_max,
            backoff_initial_s=settings.shadow_backoff_initial_s,
        ),
        tolerance=Tolerance(relative=settings.shadow_tolerance_relative, absolute=settings.shadow_tolerance_absolute),
    )
