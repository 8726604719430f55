"""The router's wiring: everything that it opens, in order, and closes in reverse order."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

import structlog
from aiokafka.errors import KafkaError
from fastapi import Depends, FastAPI
from modelyard_events.topics import ROUTES
from modelyard_prediction_cache import PredictionCache, connect, random_nonce
from modelyard_runtime.access.access_state import AccessState
from modelyard_runtime.access.authentication import Authentication
from modelyard_runtime.access.oidc import IdentityProviders
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.access.principals import Principal, Principals, authenticated
from modelyard_runtime.access.refusals import RefusalFacts, install_refusals
from modelyard_runtime.access.unknown_callers import UnknownCallers
from modelyard_runtime.clock import Clock, utc_now
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.health import Health, operations
from modelyard_runtime.http.head_requests import HeadRequests
from modelyard_runtime.ids import NewId, new_uuid7
from modelyard_runtime.lifecycle import beside
from modelyard_runtime.problems import documented, install_problems
from modelyard_runtime.publish import build_producer
from modelyard_runtime.publish.fact_queue import FactQueue
from modelyard_runtime.publish.fact_sequence import fact_sequence
from modelyard_runtime.publish.replaceable_producer import ReplaceableProducer
from modelyard_runtime.service_app import ServiceApp, access_log_of
from modelyard_runtime.state.tail import Seconds

from modelyard_router.adapters.answer_cache import AnswerCache
from modelyard_router.adapters.batching_producer import BatchingProducer
from modelyard_router.adapters.feature_source import FeatureSources
from modelyard_router.adapters.model_endpoint import ModelEndpoints
from modelyard_router.decider import Decider
from modelyard_router.domain.breaker import Breakers
from modelyard_router.facts import Facts
from modelyard_router.http import HotPath, Operation
from modelyard_router.openapi import PREDICT_PATH, ROUTE_PATH, RouteInForce, RoutesInForce, install_openapi
from modelyard_router.operations.predict import PredictOperation
from modelyard_router.operations.route import RouteOperation
from modelyard_router.prediction.predictor import Predictor
from modelyard_router.settings import Settings
from modelyard_router.state import RoutingState

log = structlog.get_logger()

FACTS_GATHER_S = 0.02
PRODUCER_RETRY_S = 1.0
REFUSALS_DRAIN_S = 1.0
FACTS_AT_ONCE = 200
"""Facts that are encoded together, between requests: at most about 4 ms of the event loop."""


def build_app(
    settings: Settings, *, clock: Clock = utc_now, new_id: NewId = new_uuid7, seconds: Seconds = time.monotonic
) -> HotPath:
    """Return the router as an ASGI application. Its lifespan opens what it needs, and closes it in reverse order."""
    state = RoutingState(
        kafka=settings.kafka,
        topic=f"{settings.topic_prefix}{ROUTES.name}",
        keys=settings.trusted_state_keys,
        seconds=seconds,
    )
    access = AccessState(
        kafka=settings.kafka,
        prefix=settings.topic_prefix,
        keys=settings.trusted_state_keys,
        seconds=seconds,
        clock=clock,
    )
    health = Health([state, access])
    fetcher = Fetcher(allow=settings.outbound_allow)
    providers = IdentityProviders(settings.oidc_issuers, fetcher=fetcher, clock=clock, seconds=seconds)
    unknown = UnknownCallers(clock=clock)
    refusals = RefusalFacts("router", clock=clock, new_id=new_id)
    authentication = Authentication(
        Principals(settings.tokens, roles=settings.token_roles, issued=access),
        grants=access,
        providers=providers,
        unknown=unknown,
    )
    hot: dict[str, Operation] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(fetcher)
            redis = connect(settings.redis_url, timeout_s=settings.cache_timeout_s)
            opened.push_async_callback(redis.aclose)
            queue = await opened.enter_async_context(_facts_leaving(settings, refusals, clock=clock, new_id=new_id))
            health.add(queue)
            health.add(await opened.enter_async_context(beside("route_tail", state.follow())))
            health.add(await opened.enter_async_context(beside("access_tail", access.follow())))
            health.add(await opened.enter_async_context(beside("issuer_keys", providers.run())))
            health.add(await opened.enter_async_context(beside("unknown_callers", unknown.run())))
            facts = Facts(queue, new_id=new_id)
            decider = Decider(state=state, secret=settings.unit_hash_secret.get_secret_value().encode())
            cache = PredictionCache(redis, new_nonce=random_nonce, timeout_s=settings.cache_timeout_s)
            predictor = Predictor(
                decider=decider,
                cache=AnswerCache(cache, breakers=_breakers(settings), seconds=seconds),
                features=FeatureSources(fetcher, breakers=_breakers(settings), seconds=seconds),
                endpoints=ModelEndpoints(fetcher, breakers=_breakers(settings), seconds=seconds),
                facts=facts,
                new_id=new_id,
                seconds=seconds,
            )
            route = RouteOperation(decider=decider, facts=facts, new_id=new_id)
            hot.update({ROUTE_PATH: route.answer, PREDICT_PATH: PredictOperation(predictor=predictor).answer})
            yield

    access_log = access_log_of(settings)
    app = ServiceApp(
        new_id=new_id,
        access_log=access_log,
        title="Modelyard router",
        summary="Which model version answers a request, why, and predictions by it.",
        version="1.0",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.add_middleware(HeadRequests)
    install_problems(app)
    install_refusals(app, refusals)
    install_openapi(app)
    app.include_router(operations(health))
    _add_routes_dump(app, state=state, authentication=authentication)
    return HotPath(
        app,
        operations=hot,
        at_once=frozenset({ROUTE_PATH}),
        authentication=authentication,
        refusals=refusals,
        state=state,
        body_bytes_max=settings.body_bytes_max,
        new_id=new_id,
        access_log=access_log,
    )


def _add_routes_dump(app: FastAPI, *, state: RoutingState, authentication: Authentication) -> None:
    known = authenticated(authentication, permission=Permission.MODELS_READ)

    @app.get(
        "/v1/routes",
        summary="The whole routing state, to compare it with the registry's",
        tags=["serving"],
        responses=documented(
            {
                401: "The request does not say who sent it",
                403: "The caller may read the models of no project",
                503: "The issued tokens are not known yet",
            }
        ),
    )
    async def routes(caller: Annotated[Principal, Depends(known)]) -> RoutesInForce:
        return RoutesInForce(
            age_s=state.age_s if state.has_caught_up else None,
            routes=[
                RouteInForce(
                    project=project,
                    model_type=model_type,
                    generation=route.order[0],
                    sequence=route.order[1],
                    revision=route.document.revision,
                    skipped=list(route.skipped),
                    document=route.document.model_dump(mode="json"),
                )
                for (project, model_type), route in sorted(state.table.routes.items())
                if caller.may(Permission.MODELS_READ, project)
            ],
        )


@asynccontextmanager
async def _facts_leaving(
    settings: Settings, refusals: RefusalFacts, *, clock: Clock, new_id: NewId
) -> AsyncIterator[FactQueue]:
    """Yield a queue of facts that is published to Kafka. On leaving, wait a bounded time until it is empty.

    Refusals have their own queue and sequence: many of one kind cannot displace the other, or look like its gap.
    """
    producer = build_producer(kafka=settings.kafka, client_id="modelyard-router")
    batching = BatchingProducer(producer)
    kept = settings.state_directory
    with (
        fact_sequence(kept, new_id=new_id) as sequence,
        fact_sequence(kept and kept / "refusals", new_id=new_id) as refusal_sequence,
    ):
        queue, refusal_queue = (
            FactQueue(
                batching,
                source=f"/modelyard/router/{each.instance}",
                prefix=settings.topic_prefix,
                clock=clock,
                new_id=new_id,
                take_sequence=each.take,
                queue_max=settings.fact_queue_max,
                in_flight_max=FACTS_AT_ONCE,
                gather_s=FACTS_GATHER_S,
            )
            for each in (sequence, refusal_sequence)
        )
        refusals.queue = refusal_queue
        async with beside("facts", _publish(producer, batching, queue, refusal_queue)):
            try:
                async with beside("refusals", refusals.run()):
                    yield queue
            finally:
                left = await queue.drain(settings.shutdown_grace_s / 2)
                left += await refusal_queue.drain(REFUSALS_DRAIN_S)
                log.info("facts_drained", left=left, dropped=queue.dropped + refusal_queue.dropped)


async def _publish(producer: ReplaceableProducer, batching: BatchingProducer, *queues: FactQueue) -> None:
    """Publish what is offered as soon as Kafka is there. The router starts without waiting for Kafka."""
    try:
        while True:
            try:
                await producer.start()
                break
            except (KafkaError, OSError) as error:
                log.warning("facts_wait_for_kafka", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(PRODUCER_RETRY_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(batching.run())
            for queue in queues:
                group.create_task(queue.run())
    finally:
        try:
            async with asyncio.timeout(PRODUCER_RETRY_S):
                await producer.stop()
        except TimeoutError:
            log.warning("producer_not_closed", reason="Kafka is away")


def _breakers(settings: Settings) -> Breakers:
    return Breakers(failures_max=settings.breaker_failures_max, pause_s=settings.breaker_pause_s)
