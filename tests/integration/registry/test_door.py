"""What holds for every operation: tokens, idempotency keys, problems, limits, documentation, no database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from modelyard_registry.api.body_limit import BODY_BYTES_MAX

from tests.integration.registry.door import Door, open_door, versions
from tests.world.http_client import HttpClient

pytestmark = pytest.mark.integration

DEADLINE_S = 30.0
MODEL = {"name": "risk", "model_type": "risk_scoring"}


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic YW5uOmE=", "Bearer", "bearer "])
async def test_without_a_known_token_nothing_is_answered(door: Door, authorization: str | None) -> None:
    stranger = HttpClient(session=door.http.session, url=door.http.url, token=None)
    headers = {} if authorization is None else {"authorization": authorization}
    document = await _openapi(door)
    operations = [(method, path) for path, item in document["paths"].items() for method in item if "{" in path]

    statuses = {
        (method, path): (await stranger.call(method.upper(), _filled(path), headers=headers)).status
        for method, path in operations
    }

    assert len(statuses) > 15
    assert {status for status in statuses.values() if status != 401} == set()


async def _openapi(door: Door) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    document: dict[str, dict[str, dict[str, dict[str, object]]]] = (
        await door.http.call("GET", "/openapi.json")
    ).expect(200)
    return document


def _filled(path: str) -> str:
    return path.replace("{digest}", "sha256:" + "0" * 64).replace("{reference}", "1").translate({123: "x", 125: "x"})


async def test_every_operation_is_documented_with_its_problems(door: Door) -> None:
    document = await _openapi(door)

    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation.get("summary"), f"{method} {path}"
            if path.startswith("/api/"):
                responses = operation["responses"]
                assert isinstance(responses, dict)
                assert {"401", "422", "503"} <= set(responses), f"{method} {path}"
                assert "application/problem+json" in responses["401"]["content"], f"{method} {path}"


async def test_operators_tools_need_no_token(door: Door) -> None:
    stranger = HttpClient(session=door.http.session, url=door.http.url, token=None)

    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert (await stranger.call("GET", path)).status == 200
    metrics = (await stranger.call("GET", "/metrics")).body.decode()
    assert 'registry_request_seconds_count{operation="healthz",status="200"}' in metrics


async def test_a_request_with_the_same_key_gets_its_first_answer(door: Door) -> None:
    key = {"idempotency-key": "create-risk"}
    first = await door.call("POST", "/registered-models", MODEL, headers=key)
    marks = await door.marks()

    again = await door.call("POST", "/registered-models", MODEL, headers=key)

    assert (first.status, again.status) == (201, 201)
    assert again.document == first.document
    assert await door.marks() == marks


async def test_requests_with_one_key_at_once_make_one_change(door: Door) -> None:
    await door.create()
    document = {"digest": await door.upload()}
    key = {"idempotency-key": f"{door.project}-register"}

    replies = await asyncio.gather(*(door.call("POST", versions(), document, headers=key) for _ in range(8)))

    assert {reply.expect(201)["number"] for reply in replies} == {1}


async def test_a_key_belongs_to_one_request(door: Door) -> None:
    key = {"idempotency-key": f"{door.project}-k"}
    (await door.call("POST", "/registered-models", MODEL, headers=key)).expect(201)

    other_body = await door.call("POST", "/registered-models", {**MODEL, "name": "other"}, headers=key)
    other_path = await door.call("POST", versions(), {"digest": "sha256:" + "0" * 64}, headers=key)

    assert (other_body.status, other_path.status) == (409, 409)
    assert "key of its own" in other_body.document["fix"]


async def test_keys_of_two_actors_do_not_meet(door: Door) -> None:
    bob = HttpClient(session=door.http.session, url=door.http.url, token="bobs-token")
    key = {"idempotency-key": f"{door.project}-k"}
    path = f"/api/v1/projects/{door.project}/registered-models"
    (await door.call("POST", "/registered-models", MODEL, headers=key)).expect(201)

    bobs = await bob.call("POST", path, {**MODEL, "name": "bobs"}, headers=key)

    assert bobs.expect(201)["created_by"] == "bob"


async def test_a_refused_request_does_not_use_its_key_up(door: Door) -> None:
    key = {"idempotency-key": f"{door.project}-k"}
    await door.create()
    await door.register()
    await door.deploy(1, health="unhealthy")
    (await door.move(1, "staging")).expect(200)
    promotion = {"to_stage": "production"}
    refused = await door.call("POST", f"{versions()}/1/transitions", promotion, headers=key)
    await door.deploy(1, health="healthy")

    again = await door.call("POST", f"{versions()}/1/transitions", promotion, headers=key)

    assert (refused.status, again.status) == (409, 200)


@pytest.mark.parametrize("body", [b"", b"{", b"nul", b"[" * 100_000, b'{"name": "\xff"}', b'"' + b"x" * 10_000])
async def test_a_body_that_is_no_json_is_a_problem(door: Door, body: bytes) -> None:
    headers = {"content-type": "application/json"}

    reply = await door.call("POST", "/registered-models", data=body, headers=headers)

    assert reply.status in (400, 422)
    assert reply.is_problem


async def test_a_body_beyond_the_limit_is_not_read(door: Door) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 100_000 + 5):
            yield b"x" * 100_000

    url = f"{door.http.url}/api/v1/projects/{door.project}/registered-models"
    headers = {"authorization": f"Bearer {door.http.token}", "content-type": "application/json"}
    async with door.http.session.post(url, data=endless(), headers=headers) as answer:
        problem = await answer.json(content_type="application/problem+json")

    assert answer.status == 413
    assert problem["type"] == "/problems/body-too-large"


async def test_an_unknown_path_and_a_wrong_method_are_problems(door: Door) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("DELETE", "/registered-models", 405)):
        reply = await door.call(method, path)
        assert reply.status == status
        assert reply.is_problem


async def test_a_callers_request_id_is_in_the_audit_entry(door: Door) -> None:
    headers = {"x-request-id": "Root=1-67/a:b+c==", "x-correlation-id": "story-1"}
    (await door.call("POST", "/registered-models", MODEL, headers=headers)).expect(201)

    [entry] = await door.audit()
    async with door.database.acquire() as connection:
        story = await connection.fetchval("SELECT correlation_id FROM outbox WHERE key = $1", f"{door.project}/risk")

    assert entry["request_id"] == "Root=1-67/a:b+c=="
    assert story == "story-1"


class Cable:
    """A TCP connection to the database that can be cut and mended."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: list[asyncio.StreamWriter] = []
        self.is_cut = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection, both ways, until either side ends it."""
        if self.is_cut:
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._writers += [writer, far_writer]
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pump(reader, far_writer))
            both.create_task(self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while content := await reader.read(65_536):
                writer.write(content)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def cut(self) -> None:
        """End every connection, and take no more."""
        self.is_cut = True
        for writer in self._writers:
            writer.close()
        self._writers.clear()


@asynccontextmanager
async def cable_to(dsn: str) -> AsyncIterator[tuple[Cable, str]]:
    """A cable to the database, and the DSN that goes through it."""
    parts = urlsplit(dsn)
    cable = Cable(parts.hostname or "", parts.port or 0)
    server = await asyncio.start_server(cable.carry, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    netloc = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
    try:
        yield cable, urlunsplit(parts._replace(netloc=netloc))
    finally:
        cable.cut()
        server.close()


async def test_while_the_database_is_away_callers_are_told_to_try_again(
    registry_database: str, door: Door, tmp_path: Path
) -> None:
    async with cable_to(registry_database) as (cable, dsn), open_door(dsn, tmp_path, migrate_first=False) as cabled:
        (await cabled.http.call("GET", f"/api/v1/projects/{door.project}/registered-models")).expect(200)
        cable.cut()

        away = await cabled.http.call("POST", f"/api/v1/projects/{door.project}/registered-models", MODEL)
        cable.is_cut = False
        async with asyncio.timeout(DEADLINE_S):
            while (
                back := await cabled.http.call("GET", f"/api/v1/projects/{door.project}/registered-models")
            ).status != 200:
                assert back.status == 503
                await asyncio.sleep(0.05)

    assert away.status == 503
    assert away.is_problem
    assert await door.marks() == (0, 0)
