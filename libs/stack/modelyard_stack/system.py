"""Runs the four services as processes on a running stack: for the demo, `make up` and the e2e tests."""

import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from modelyard_stack.errors import StackError
from modelyard_stack.http_program import HttpProgram
from modelyard_stack.keeper import Keeper
from modelyard_stack.ports import HOST, free_ports, is_free
from modelyard_stack.server import KeptServer
from modelyard_stack.stack import Stack
from modelyard_stack.state_key import ensure_state_key
from modelyard_stack.together import do_together

SERVICES = ("registry", "router", "shadow_worker", "cache_invalidator")
TEMPORARY_PREFIX = "modelyard-system-"
ACTORS = ("ada", "training-job", "gateway", "model-server", "auditor")
TOKEN_ROLES = {
    "ada": {"*": ["admin"]},
    "training-job": {"*": ["training_job"]},
    # It looks at routes and experiments as well: people try things out with it.
    "gateway": {"*": ["gateway", "viewer"]},
    "model-server": {"*": ["model_server"]},
    "auditor": {"*": ["auditor"]},
}
TOKEN_BYTES = 24
STATE_KEY_FILE = "state-key.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running program with an HTTP port."""

    url: str
    server: KeptServer


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The four services, and the programs that were started beside them.

    `tokens` has a bearer token for each actor. `environment` has the settings of every service.
    """

    stack: Stack
    directory: Path
    topic_prefix: str
    tokens: Mapping[str, str]
    keeper: Keeper = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    services: dict[str, Service] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        stack: Stack,
        *,
        directory: Path | None = None,
        topic_prefix: str = "",
        postgres_dsn: str | None = None,
        redis_url: str | None = None,
        services: Sequence[str] = SERVICES,
        settings: Mapping[str, str] | None = None,
        inherited: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Self]:
        """Start the services on `stack` and stop them at the end of the block, before their servers go.

        What they write goes to `directory`, or to a temporary one that is removed. `postgres_dsn`,
        `redis_url` and `topic_prefix` keep systems apart that share a stack; `settings` are environment variables
        of all services besides, and `inherited` those that the system does not set itself. Raises `ServerFailedError`
        with the end of the log when a service does not become ready.
        """
        place = _place_for(directory)
        removals = [place] if directory is None else []
        async with Keeper(lock=place / "system.lock", remove=removals) as keeper:
            tokens = _tokens(place / "tokens.json")
            own = _environment(
                stack,
                place,
                tokens,
                topic_prefix=topic_prefix,
                postgres_dsn=postgres_dsn or stack.addresses.postgres_dsn,
                redis_url=redis_url or stack.addresses.redis_url,
            )
            system = cls(
                stack=stack,
                directory=place,
                topic_prefix=topic_prefix,
                tokens=tokens,
                keeper=keeper,
                environment={**(inherited or {}), **own, **(settings or {})},
            )
            await do_together(system.run_service(name) for name in services)
            try:
                yield system
            finally:
                await system.stop()

    def service(self, name: str) -> Service:
        """The running program of that name. Raises `StackError` when there is none."""
        if name not in self.services:
            raise StackError(f"{name} does not run; what runs is {', '.join(self.services)}.")
        return self.services[name]

    async def run_service(self, service: str, *, instance: str | None = None) -> Service:
        """Start a service and wait until it is ready. Another instance of it needs another name, `instance`.

        Each instance has a state directory of its own, because two processes cannot count facts in one file.
        """
        name = instance or service
        state = {"MODELYARD_STATE_DIRECTORY": str(self.directory / "state" / name)}
        return await self.run(name, module=f"modelyard_{service}", environment={**self.environment, **state})

    async def run(
        self,
        name: str,
        *,
        module: str,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        ready_path: str = "/readyz",
        port_argument: str | None = None,
    ) -> Service:
        """Start a Python module beside the services and wait until it is ready.

        It learns its port from the variable MODELYARD_PORT, or from `port_argument` when that is given.
        """
        port = _port_of(name, remembered=self.directory / "ports.json")
        program = HttpProgram(
            name,
            module=module,
            directory=self.directory / name,
            port=port,
            arguments=[*arguments, *([port_argument, str(port)] if port_argument else [])],
            environment={"MODELYARD_PORT": str(port), **(environment or {})},
            ready_path=ready_path,
        )
        server = KeptServer(program, keeper=self.keeper, log=self.directory / "logs" / f"{name}.log")
        await server.start()
        self.services[name] = Service(url=f"http://{HOST}:{port}", server=server)
        return self.services[name]

    async def stop(self) -> None:
        """Stop everything, in reverse order of starting."""
        for service in reversed(self.services.values()):
            await service.server.stop()


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings in the environment of the calling process, such as MODELYARD_LOG_LEVEL."""
    return {name: value for name, value in environment.items() if name.startswith("MODELYARD_")}


def _environment(
    stack: Stack, place: Path, tokens: Mapping[str, str], *, topic_prefix: str, postgres_dsn: str, redis_url: str
) -> dict[str, str]:
    return {
        "MODELYARD_KAFKA_BOOTSTRAP": stack.addresses.kafka_bootstrap,
        "MODELYARD_POSTGRES_DSN": postgres_dsn,
        "MODELYARD_REDIS_URL": redis_url,
        "MODELYARD_TOPIC_PREFIX": topic_prefix,
        "MODELYARD_TOKENS": json.dumps(dict(tokens)),
        "MODELYARD_TOKEN_ROLES": json.dumps(TOKEN_ROLES),
        # Everything runs on this machine here; elsewhere private addresses are refused unless listed.
        "MODELYARD_OUTBOUND_ALLOW": json.dumps(["127.0.0.0/8"]),
        # Every document on the state topics is signed and checked, here as elsewhere.
        "MODELYARD_STATE_KEY_FILE": str(place / STATE_KEY_FILE),
        "MODELYARD_STATE_KEYS": json.dumps([ensure_state_key(place / STATE_KEY_FILE)]),
        # One small machine runs everything: a busy processor must not look like a cache that is away.
        "MODELYARD_CACHE_TIMEOUT_S": "1.0",
        "MODELYARD_ARTIFACT_DIRECTORY": str(place / "artifacts"),
    }


def _place_for(directory: Path | None) -> Path:
    place = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX)) if directory is None else directory.absolute()
    (place / "logs").mkdir(parents=True, exist_ok=True)
    return place


def _tokens(path: Path) -> dict[str, str]:
    """Return a token for each actor. Tokens in the file are used again."""
    if path.exists():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    tokens = {actor: secrets.token_urlsafe(TOKEN_BYTES) for actor in ACTORS}
    path.touch(mode=0o600)
    path.write_text(json.dumps(tokens), encoding="utf-8")
    return tokens


def _port_of(name: str, *, remembered: Path) -> int:
    """Return the port that the program had before in this directory, or a free one."""
    ports: dict[str, int] = json.loads(remembered.read_text()) if remembered.exists() else {}
    if name not in ports or not is_free(ports[name]):
        (ports[name],) = free_ports(1)
        draft = remembered.with_suffix(".draft")
        draft.write_text(json.dumps(ports), encoding="utf-8")
        os.replace(draft, remembered)
    return ports[name]
