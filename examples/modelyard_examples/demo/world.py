"""Everything that runs: the stack, the four services, the model server and the loan book, all as processes."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from modelyard_stack import Stack
from modelyard_stack.system import System, passed_on

from modelyard_examples.cloud_events import ENTITY_CHANGES, TRAINING_RUNS
from modelyard_examples.registry_client import RegistryClient
from modelyard_examples.router_client import RouterClient
from modelyard_examples.signing import LIFETIME_DAYS, register_signing_key

PROJECT = "default"
FEATURES_PATH = "/tenants/{tenant}/loans/{entity_id}/features"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The running system and a way in to each part; the clients act as `ada`, an ML engineer, and as a gateway."""

    system: System
    registry: RegistryClient
    router: RouterClient
    model_server_url: str
    loan_book_url: str
    http: aiohttp.ClientSession
    training_key_file: Path

    @property
    def kafka_bootstrap(self) -> str:
        """The broker's address."""
        return self.system.stack.addresses.kafka_bootstrap

    def endpoint_of(self, model: str, number: int) -> str:
        """Where the model server answers for a version."""
        return f"{self.model_server_url}/v2/models/{model}/versions/{number}/infer"

    @property
    def feature_url_template(self) -> str:
        """Where the router reads a loan's features."""
        return self.loan_book_url + FEATURES_PATH

    async def answers(self, url: str) -> bool:
        """Whether `url` answers 200."""
        async with self.http.get(url) as answer:
            return answer.status == 200


@asynccontextmanager
async def running_world(
    *, directory: Path | None = None, on_progress: Callable[[str], None] = lambda step: None
) -> AsyncIterator[World]:
    """Start everything, in `directory` or in a temporary one, and stop it at the end of the block."""
    on_progress("Kafka, PostgreSQL and Valkey")
    async with Stack.start(directory=directory and directory / "stack") as stack:
        on_progress("registry, router, shadow worker and cache invalidator")
        async with System.start(
            stack, directory=directory and directory / "system", inherited=passed_on(os.environ)
        ) as system:
            on_progress("model server and loan book")
            registry_url, router_url = system.service("registry").url, system.service("router").url
            key_files = await _register_keys(system, registry_url)
            model_server, loan_book = await _start_examples(system, loan_book_key=key_files["loan-book"])
            async with (
                aiohttp.ClientSession() as http,
                RegistryClient(registry_url, token=system.tokens["ada"], project=PROJECT) as registry,
                RouterClient(router_url, token=system.tokens["gateway"]) as router,
            ):
                yield World(
                    system=system,
                    registry=registry,
                    router=router,
                    model_server_url=model_server,
                    loan_book_url=loan_book,
                    http=http,
                    training_key_file=key_files["training-job"],
                )


async def _register_keys(system: System, registry_url: str) -> dict[str, Path]:
    """A signing key for each of those who send events, new at each start; answers the files that keep them."""
    files = {}
    async with RegistryClient(registry_url, token=system.tokens["ada"], project=PROJECT) as registry:
        # A loan belongs to a tenant, not to a project: who speaks for every tenant speaks for all projects.
        for actor, project, topic in (("training-job", PROJECT, TRAINING_RUNS), ("loan-book", "*", ENTITY_CHANGES)):
            expires_at = datetime.now(UTC) + timedelta(days=LIFETIME_DAYS)
            key = await register_signing_key(
                registry, actor=actor, project=project, topics=[topic], expires_at=expires_at
            )
            files[actor] = system.directory / "signing-keys" / f"{actor}.json"
            key.write(files[actor])
    return files


async def _start_examples(system: System, *, loan_book_key: Path) -> tuple[str, str]:
    model_server = await system.run(
        "model_server",
        module="modelyard_examples.model_server",
        arguments=["--registry", system.service("registry").url, "--project", PROJECT],
        environment={"MODELYARD_TOKEN": system.tokens["model-server"]},
        ready_path="/v2/health/ready",
        port_argument="--port",
    )
    loan_book = await system.run(
        "loan_book",
        module="modelyard_examples.loan_book",
        arguments=[
            *("--kafka", system.stack.addresses.kafka_bootstrap),
            *("--topic-prefix", system.topic_prefix),
            *("--signing-key", str(loan_book_key)),
            *("--directory", str(system.directory / "loan_book")),
        ],
        ready_path="/healthz",
        port_argument="--port",
    )
    return model_server.url, loan_book.url
