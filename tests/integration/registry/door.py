"""The registry's HTTP side on a real database, as one actor of one project sees it, and what it wrote there."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import aiohttp
from fastapi import FastAPI
from modelyard_registry.api import Services
from modelyard_registry.app import build_api
from modelyard_registry.artifact_stores.choice import OpenableStore
from modelyard_registry.artifact_stores.disk import DiskArtifactStore
from modelyard_registry.transactions import UnitOfWork
from modelyard_registry.transactions.database import Database, migrate
from modelyard_runtime.access.permissions import Role
from modelyard_runtime.access.principals import Principals
from modelyard_runtime.fetch import Fetcher
from modelyard_runtime.health import Health
from modelyard_runtime.ids import new_uuid7
from pydantic import SecretStr

from tests.serving import serving
from tests.world.http_client import HttpClient, Reply

ARTIFACT_BYTES_MAX = 3 * 1024 * 1024
ACTOR = "ann"
TOKEN = "anns-token"
PEOPLE = {name: SecretStr(f"{name}s-token") for name in ("bob", "cem", "dee", "eve", "fay")}
ROLES = {
    "cem": {"*": frozenset({Role.APPROVER})},
    "dee": {"*": frozenset({Role.APPROVER})},
    "eve": {"*": frozenset({Role.VIEWER})},
    "fay": {"*": frozenset({Role.DATA_SCIENTIST})},
}
"""Whom this does not name is admin everywhere."""
ENDPOINT = "http://127.0.0.1:9000/infer"

Document = dict[str, Any]


class StepClock:
    """A clock that advances by a second each time that it is read, so that every moment is another one."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The present moment."""
        self.now += timedelta(seconds=1)
        return self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What a test does at the door, and what it finds behind it."""

    http: HttpClient
    database: Database
    artifacts: Path
    clock: StepClock
    project: str

    async def call(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        """Any operation; `path` is below the project."""
        path = f"/api/v1/projects/{self.project}{path}"
        return await self.http.call(method, path, document, data=data, headers=headers, query=query)

    async def found(self) -> Self:
        """Have the project, in which everything else happens; what the tests count begins after it."""
        await add_project(self.database, self.project)
        return self

    async def beside(self) -> Self:
        """Another project, which is created."""
        return await replace(self, project=f"{self.project}-2").found()

    async def create(self, name: str = "risk", **facts: object) -> Document:
        """A registered model."""
        document = {"name": name, "model_type": "risk_scoring", "primary_metric": "auc", **facts}
        created: Document = (await self.call("POST", "/registered-models", document)).expect(201)
        return created

    async def upload(self, artifact: bytes = b"a model") -> str:
        """An artifact's digest, after its upload."""
        digest = digest_of(artifact)
        (await self.call("PUT", f"/artifacts/{digest}", data=artifact)).expect(200, 201)
        return digest

    async def register(self, name: str = "risk", **facts: object) -> Document:
        """The next version of a registered model."""
        document = {"digest": await self.upload(), **facts}
        registered: Document = (await self.call("POST", versions(name), document)).expect(201)
        return registered

    async def deploy(self, number: int, *, name: str = "risk", health: str = "healthy") -> Document:
        """A deployment that the router would use."""
        path = f"{versions(name)}/{number}/deployments/production"
        document = {"url": f"{ENDPOINT}/{name}/{number}", "health": health}
        deployed: Document = (await self.call("PUT", path, document)).expect(200)
        return deployed

    async def move(self, number: int, to_stage: str, *, name: str = "risk", **facts: object) -> Reply:
        """Ask for a transition."""
        return await self.call("POST", f"{versions(name)}/{number}/transitions", {"to_stage": to_stage, **facts})

    async def promote(self, *, name: str = "risk", **facts: object) -> int:
        """Register a version and take it to production, where it becomes champion; answers its number."""
        number = int((await self.register(name))["number"])
        await self.deploy(number, name=name)
        (await self.move(number, "staging", name=name)).expect(200)
        (await self.move(number, "production", name=name, **facts)).expect(200)
        return number

    async def roll_back(self, replaces: int, *, name: str = "risk", **facts: object) -> Reply:
        """Ask for the champion before `replaces`."""
        return await self.call("POST", f"/registered-models/{name}/rollback", {"replaces": replaces, **facts})

    async def champion(self, name: str = "risk") -> int | None:
        """Whom the alias points at."""
        model: Document = (await self.call("GET", f"/registered-models/{name}")).expect(200)
        champion: int | None = model["champion"]
        return champion

    async def stage_of(self, number: int, *, name: str = "risk") -> str:
        """Where a version stands."""
        return str((await self.call("GET", f"{versions(name)}/{number}")).expect(200)["stage"])

    async def facts(self, topic: str = "model-versions.v1") -> list[Document]:
        """What waits in the outbox for `topic` about this project: type, key, sequence and the event itself."""
        rows = await self._fetch(
            "SELECT type, key, sequence, payload FROM outbox"
            " WHERE topic = $2 AND (key = $1 OR starts_with(key, $1 || '/')) ORDER BY id",
            topic,
        )
        return [{**dict(row), "event": json.loads(row["payload"])} for row in rows]

    async def champions_routed(self) -> list[tuple[str, int]]:
        """Who serves by the newest routing document."""
        document = (await self.facts("routes.v1"))[-1]["event"]
        return [(each["model"], each["number"]) for each in document["champions"]]

    async def types_of_facts(self) -> list[str]:
        """The types of the facts about this project's models, oldest first, without the version."""
        return [fact["type"].removesuffix(".v1") for fact in await self.facts()]

    async def audit(self) -> list[Document]:
        """This project's audit entries, oldest first."""
        rows = await self._fetch("SELECT * FROM audit_entries WHERE project = $1 ORDER BY id")
        return [dict(row) for row in rows]

    async def actions(self) -> list[str]:
        """What was done in this project, oldest first."""
        return [entry["action"] for entry in await self.audit()]

    async def marks(self) -> tuple[int, int]:
        """How many audit entries and facts there are: equal before and after what changes nothing."""
        return len(await self.audit()), len(await self.facts()) + len(await self.facts("routes.v1"))

    async def _fetch(self, statement: str, *arguments: object) -> Any:
        async with self.database.acquire() as connection:
            return await connection.fetch(statement, self.project, *arguments)


async def add_project(database: Database, name: str) -> None:
    """A project as the registry has it, with no entry in the audit log."""
    statement = "INSERT INTO projects (name, created_at, created_by) VALUES ($1, now(), $2) ON CONFLICT DO NOTHING"
    async with database.acquire() as connection:
        await connection.execute(statement, name, ACTOR)


def versions(name: str = "risk") -> str:
    """The path of a model's versions."""
    return f"/registered-models/{name}/versions"


def digest_of(content: bytes) -> str:
    """The digest that proves `content`."""
    return f"sha256:{sha256(content).hexdigest()}"


@asynccontextmanager
async def open_door(
    dsn: str,
    artifacts: Path,
    *,
    migrate_first: bool = True,
    store: OpenableStore | None = None,
    clock: StepClock | None = None,
    probes_endpoints: bool = False,
) -> AsyncIterator[Door]:
    """Serve the registry's HTTP side over the database at `dsn`, without Kafka: facts wait in the outbox."""
    if migrate_first:
        await migrate(dsn)
    clock = clock or StepClock()
    database = Database(dsn)
    store = store or DiskArtifactStore(artifacts, new_id=new_uuid7)
    outbound = Fetcher(allow=["127.0.0.0/8"])
    services = Services(
        principals=Principals({ACTOR: SecretStr(TOKEN), **PEOPLE}, roles=ROLES),
        database=database,
        unit_of_work=UnitOfWork(database, clock=clock, new_id=new_uuid7, wake=lambda: None),
        artifacts=store,
        artifact_bytes_max=ARTIFACT_BYTES_MAX,
        outbound=outbound,
        clock=clock,
        new_id=new_uuid7,
        # Nothing answers at the endpoints that tests make up.
        probes_endpoints=probes_endpoints,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with database, store, outbound:
            yield

    app = build_api(services, health=Health([database]), lifespan=lifespan)
    timeout = aiohttp.ClientTimeout(total=60)
    async with serving(app) as url, aiohttp.ClientSession(timeout=timeout) as session:
        http = HttpClient(session=session, url=url, token=TOKEN)
        yield Door(http=http, database=database, artifacts=artifacts, clock=clock, project="default")
