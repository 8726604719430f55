"""The registry's wiring: everything it opens, in order, and every arrow in and out."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from fastapi import APIRouter, FastAPI
from modelyard_runtime.access.oidc import IdentityProviders
from modelyard_runtime.access.principals import Principals
from modelyard_runtime.access.unknown_callers import UnknownCallers
from modelyard_runtime.clock import Clock, utc_now
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.health import Health, operations
from modelyard_runtime.http.access_log import AccessLog
from modelyard_runtime.http.head_requests import HeadRequests
from modelyard_runtime.ids import NewId, new_uuid7
from modelyard_runtime.lifecycle import beside
from modelyard_runtime.problems import install_problems
from modelyard_runtime.service_app import ServiceApp, access_log_of
from modelyard_runtime.state.keys import read_key_file
from starlette.types import Lifespan

from modelyard_registry.access import http as access_http
from modelyard_registry.access.authentication import Authentication
from modelyard_registry.access.bootstrap import ensure_admin
from modelyard_registry.access.gate import Gate, refuse_undeclared
from modelyard_registry.access.refusals import Refusals, install_refusals
from modelyard_registry.aliases import http as aliases_http
from modelyard_registry.api import Services
from modelyard_registry.api.body_limit import BodyLimit
from modelyard_registry.api.openapi import install_openapi
from modelyard_registry.approvals import http as approvals_http
from modelyard_registry.approvals.expiry import Expiry
from modelyard_registry.artifact_stores.choice import choose_artifact_store
from modelyard_registry.artifacts import folders_http, uploads_http
from modelyard_registry.artifacts import http as artifacts_http
from modelyard_registry.artifacts import versions_http as version_artifacts_http
from modelyard_registry.artifacts.cleaning import UploadCleaning
from modelyard_registry.attachments import http as attachments_http
from modelyard_registry.audit import http as audit_http
from modelyard_registry.audit import verification_http
from modelyard_registry.checks import http as checks_http
from modelyard_registry.compatibility.by_id import changes_http as changes_by_id_http
from modelyard_registry.compatibility.by_id import models_http as models_by_id_http
from modelyard_registry.compatibility.by_id import versions_http as versions_by_id_http
from modelyard_registry.compatibility.by_name import http as by_name_http
from modelyard_registry.deployments import http as deployments_http
from modelyard_registry.experiments.http import experiments_router
from modelyard_registry.kafka_side import KafkaSide
from modelyard_registry.lifecycle import champion_http, preview_http
from modelyard_registry.lifecycle import http as lifecycle_http
from modelyard_registry.metrics import RequestMeter
from modelyard_registry.models import changes_http as model_changes_http
from modelyard_registry.models import http as models_http
from modelyard_registry.models import version_changes_http, versions_http
from modelyard_registry.outbox.relay import Relay, RelaySettings
from modelyard_registry.policies import http as policies_http
from modelyard_registry.projects import http as projects_http
from modelyard_registry.projects.known import KnownProjects
from modelyard_registry.registration import http as registration_http
from modelyard_registry.registration.fast_path import RegistrationFastPath
from modelyard_registry.registration.registrar import Registrar
from modelyard_registry.routes import http as routes_http
from modelyard_registry.scoreboard import http as scoreboard_http
from modelyard_registry.search import http as search_http
from modelyard_registry.settings import Settings
from modelyard_registry.signing_keys import http as signing_keys_http
from modelyard_registry.transactions import UnitOfWork
from modelyard_registry.transactions.database import Database, migrate

SALT_BYTES = 16


def new_salt() -> str:
    """128 random bits as text, which decorrelate one experiment from all others."""
    return secrets.token_hex(SALT_BYTES)


OPERATIONS = (
    models_http.router,
    model_changes_http.router,
    registration_http.router,
    search_http.router,
    versions_http.router,
    version_artifacts_http.router,
    version_changes_http.router,
    artifacts_http.router,
    folders_http.router,
    uploads_http.router,
    attachments_http.router,
    checks_http.router,
    lifecycle_http.router,
    preview_http.router,
    champion_http.router,
    policies_http.router,
    approvals_http.router,
    aliases_http.router,
    deployments_http.router,
    routes_http.router,
    experiments_router(new_salt=new_salt),
    scoreboard_http.router,
    audit_http.router,
    verification_http.router,
    access_http.grants_router,
)

BESIDE_PROJECTS = (
    projects_http.router,
    verification_http.whole_log_router,
    access_http.tokens_router,
    signing_keys_http.router,
    models_by_id_http.router,
    versions_by_id_http.router,
    changes_by_id_http.router,
    by_name_http.router,
)
"""Operations whose paths do not begin with a project."""


def build_app(settings: Settings, *, clock: Clock = utc_now, new_id: NewId = new_uuid7) -> FastAPI:
    """The registry as an ASGI application; what it needs is opened by its lifespan, and closed in reverse."""
    database = Database(settings.postgres_dsn)
    artifacts = choose_artifact_store(settings, new_id=new_id)
    kept_for = timedelta(hours=settings.artifact_upload_kept_h)
    upload_cleaning = UploadCleaning(database, artifacts, kept_for=kept_for, clock=clock)
    relay_settings = RelaySettings(
        postgres_dsn=settings.postgres_dsn,
        kafka=settings.kafka,
        topic_prefix=settings.topic_prefix,
        signer=read_key_file(settings.state_key_file) if settings.state_key_file is not None else None,
    )
    relay = Relay(relay_settings, clock=clock, new_id=new_id)
    unit_of_work = UnitOfWork(database, clock=clock, new_id=new_id, wake=relay.wake, wake_soon=relay.wake_soon)
    refusals = Refusals(unit_of_work, clock=clock)
    kafka_side = KafkaSide(
        settings, database=database, unit_of_work=unit_of_work, relay=relay, refusals=refusals, clock=clock
    )
    expiry = Expiry(database, unit_of_work=unit_of_work, clock=clock)
    health = Health([database, relay, kafka_side])
    principals = Principals(settings.tokens, roles=settings.token_roles)
    fetcher = Fetcher(allow=settings.outbound_allow)
    providers = IdentityProviders(settings.oidc_issuers, fetcher=fetcher, clock=clock, seconds=time.monotonic)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await migrate(settings.postgres_dsn)
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(database)
            await opened.enter_async_context(artifacts)
            await opened.enter_async_context(fetcher)
            await ensure_admin(
                unit_of_work,
                principals=principals,
                file=settings.bootstrap_token_file,
                clock=clock,
                request_id=new_id(),
            )
            health.add(await opened.enter_async_context(beside("database_watch", database.watch())))
            health.add(await opened.enter_async_context(beside("upload_cleaning", upload_cleaning.run())))
            health.add(await opened.enter_async_context(beside("expiry", expiry.run())))
            health.add(await opened.enter_async_context(beside("refusals", refusals.run())))
            health.add(await opened.enter_async_context(beside("unknown_callers", app.state.unknown_callers.run())))
            health.add(await opened.enter_async_context(beside("issuer_keys", providers.run())))
            health.add(await opened.enter_async_context(beside("kafka_side", kafka_side.run())))
            yield

    services = Services(
        principals=principals,
        database=database,
        unit_of_work=unit_of_work,
        artifacts=artifacts,
        artifact_bytes_max=settings.artifact_bytes_max,
        outbound=fetcher,
        clock=clock,
        new_id=new_id,
        probes_endpoints=settings.probe_endpoints,
    )
    return build_api(
        services,
        health=health,
        lifespan=lifespan,
        refusals=refusals,
        providers=providers,
        access_log=access_log_of(settings),
    )


def build_api(
    services: Services,
    *,
    health: Health,
    lifespan: Lifespan[FastAPI],
    refusals: Refusals | None = None,
    providers: IdentityProviders | None = None,
    access_log: AccessLog | None = None,
) -> FastAPI:
    """The HTTP side alone: every operation, over services that the lifespan opens."""
    registrar = Registrar(services.unit_of_work.batched())

    @asynccontextmanager
    async def registering(app: FastAPI) -> AsyncIterator[None]:
        async with lifespan(app), registrar.open():
            yield

    app = ServiceApp(
        new_id=services.new_id,
        access_log=access_log or AccessLog(enabled=True, sample=1.0, seconds=time.perf_counter),
        title="Modelyard registry",
        summary="Models, versions, stages, champions and the record of every change.",
        version="1.0",
        lifespan=registering,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.refusals = refusals or Refusals(services.unit_of_work, clock=services.clock)
    app.state.unknown_callers = UnknownCallers(clock=services.clock)
    app.state.registrar = registrar
    app.state.known_projects = KnownProjects(services.database)
    app.state.authentication = Authentication(
        services.principals,
        database=services.database,
        clock=services.clock,
        unknown=app.state.unknown_callers,
        providers=providers,
    )
    app.add_middleware(
        RegistrationFastPath,
        services=services,
        registrar=registrar,
        projects=app.state.known_projects,
        operation=registration_http.post_version.__name__,
    )
    app.add_middleware(Gate, authentication=app.state.authentication)
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestMeter)
    app.add_middleware(HeadRequests)
    install_problems(app)
    install_refusals(app, app.state.refusals, new_id=services.new_id)
    app.include_router(operations(health))
    api = APIRouter(prefix="/api/v1/projects/{project}")
    for router in OPERATIONS:
        api.include_router(router)
    app.include_router(api)
    for router in BESIDE_PROJECTS:
        app.include_router(router)
    refuse_undeclared(app)
    install_openapi(app)
    return app
