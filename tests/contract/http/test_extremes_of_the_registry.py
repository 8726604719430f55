"""Extreme values in every field of every operation of the registry: no server error, and no changed value.

A fixed seed draws them; `MODELYARD_EXTREMES=5000` draws so many for each operation, from a seed that is printed.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlsplit, urlunsplit
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from modelyard_stack import Stack
from yarl import URL

from tests.contract.http.kept import lost_of
from tests.contract.http.seeding import ARTIFACT, seed
from tests.extremes import HEADER_BYTES, MOMENTS, TEXTS, WHOLE_NUMBERS, documents_with_extremes, drawn, written
from tests.integration.registry.door import Door, digest_of, open_door
from tests.integration.registry.test_evidence import EVIDENCE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

JSON = {"Content-Type": "application/json"}
BODIES = 30
BODIES_OF_EVIDENCE = 250
EVIDENCE_AT = "POST /api/v1/projects/{project}/registered-models/{name}/versions"
WORDS = [*TEXTS, *MOMENTS[:6], *map(str, WHOLE_NUMBERS[::4]), "9" * 5_000, "1.0", "1e400", "NaN", "true", "@", "@x"]
SHORT = [word for word in WORDS if len(word) <= 2_000]
HEADERS = ("x-request-id", "x-correlation-id", "idempotency-key", "if-match", "content-type", "x-project-id")
SAFE = "/:@!$&'()*+,;=-._~"

Document = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Trial:
    """A registry with something of each kind in it, and what was wrong with its answers."""

    door: Door
    document: Document
    names: Mapping[str, Any]
    names_of: Mapping[str, Mapping[str, Any]]
    bodies: Mapping[str, object]
    faults: list[str] = field(default_factory=list)
    answered: int = 0
    accepted: int = 0

    def operations(self) -> Iterator[tuple[str, Document]]:
        """Every operation as `METHOD /path`, with what the document says of it."""
        for path, methods in self.document["paths"].items():
            for method, described in methods.items():
                yield f"{method.upper()} {path}", described

    def path_of(self, operation: str, **instead: str) -> str:
        """An address of the operation, about things that are there, or about what is given instead."""
        path = operation.partition(" ")[2]
        while "{" in path:
            before, _, rest = path.partition("{")
            name, _, after = rest.partition("}")
            known = {**self.names, **self.names_of.get(operation, {})}
            word = instead.get(name) or quote(str(known.get(name, ["x"])[0]), safe="")
            path = f"{before}{word}{after}"
        return path

    def body_of(self, operation: str, described: Document) -> object:
        """A sound body of the operation, None where it takes no JSON."""
        if operation == EVIDENCE_AT:
            return {"digest": digest_of(ARTIFACT), "evidence": EVIDENCE}
        content = described.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            return None
        if operation in self.bodies:
            return self.bodies[operation]
        schema = content["schema"]
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema.get("examples", [{}])[0]

    async def ask(
        self, operation: str, path: str, *, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, object]:
        """Send one request; a server error is a fault. A request that HTTP itself refuses is none."""
        method = operation.partition(" ")[0]
        given = {"Authorization": f"Bearer {self.door.http.token}", **(JSON if body is not None else {})}
        sent = None if body is None else body.encode("utf-8", "surrogatepass")
        url = URL(self.door.http.url + path, encoded=True)
        try:
            async with self.door.http.session.request(
                method, url, data=sent, headers={**given, **(headers or {})}, allow_redirects=False
            ) as answer:
                raw = await answer.read()
                self.answered += 1
                if answer.status >= 500:
                    self.faults.append(f"{operation} {path[:200]} {(body or '')[:300]} {headers}: {raw[:200]!r}")
                if answer.status < 300:
                    self.accepted += 1
                is_json = answer.content_type in ("application/json", "application/problem+json")
                return answer.status, json.loads(raw) if is_json and raw else None
        except (aiohttp.ClientError, ValueError):
            return 0, None


@pytest.fixture
async def trial(stack: Stack, tmp_path: Path) -> AsyncIterator[Trial]:
    """A registry of its own: the other registries' interfaces know no other project than `default`."""
    name = f"extremes_{uuid4().hex}"
    administrator = await asyncpg.connect(stack.addresses.postgres_dsn)
    try:
        await administrator.execute(f"CREATE DATABASE {name}")
        dsn = urlunsplit(urlsplit(stack.addresses.postgres_dsn)._replace(path=f"/{name}"))
        async with open_door(dsn, tmp_path) as opened:
            door = replace(opened, project="default")
            known = await seed(door)
            document = (await door.http.call("GET", "/openapi.json")).expect(200)
            names, names_of, bodies = known.names, known.names_of, known.bodies
            yield Trial(door=door, document=document, names=names, names_of=names_of, bodies=bodies)
        await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await administrator.close()


async def test_no_extreme_value_is_a_server_error_or_changed(trial: Trial) -> None:
    for operation, described in trial.operations():
        await try_parameters(trial, operation, described)
    for operation, described in trial.operations():
        await try_bodies(trial, operation, described)

    assert not trial.faults, f"{len(trial.faults)} faults:\n" + "\n".join(trial.faults[:40])
    assert trial.answered > 3_000
    assert trial.accepted > 100, "what is always refused was not tried in earnest"


async def try_bodies(trial: Trial, operation: str, described: Document) -> None:
    """Bodies with one or several extreme fields; what is accepted is answered as it was sent."""
    sound = trial.body_of(operation, described)
    if not isinstance(sound, dict) or not sound:
        return
    count = BODIES_OF_EVIDENCE if operation == EVIDENCE_AT else BODIES
    for document in drawn(documents_with_extremes(sound), count=count):
        text = written(document)
        status, got = await trial.ask(operation, trial.path_of(operation), body=text)
        if 200 <= status < 300 and isinstance(got, dict):
            trial.faults += [f"{operation} {text[:200]}: {each}" for each in lost_of(json.loads(text), got)]


async def try_parameters(trial: Trial, operation: str, described: Document) -> None:
    """Extreme words in the path, the query and the headers, one at a time."""
    sound = trial.body_of(operation, described)
    body = None if sound is None else written(sound)
    method, _, _ = operation.partition(" ")
    parameters = [(each["in"], each["name"]) for each in described.get("parameters", [])]
    for number, (place, name) in enumerate(parameters):
        # Each parameter gets another part of the words, so that all of them are tried somewhere.
        for word in SHORT[number % 7 :: 7]:
            encoded = quote_from_bytes(word.encode("utf-8", "surrogatepass"), safe="")
            if place == "path" and encoded not in ("", ".", ".."):
                await trial.ask(operation, trial.path_of(operation, **{name: encoded}), body=body)
            elif place == "query":
                await trial.ask(operation, f"{trial.path_of(operation)}?{name}={encoded}", body=body)
    if method == "GET" and len(parameters) > 6:
        return
    for number, name in enumerate(HEADERS):
        for raw in HEADER_BYTES[number % 9 :: 9]:
            header = (raw or b"").decode("latin-1")
            await trial.ask(operation, trial.path_of(operation), body=body, headers={name: header})
