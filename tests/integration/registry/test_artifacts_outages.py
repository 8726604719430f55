"""A storage that is away, fails or does not answer: told as such, nothing half-kept, and mended by trying again."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import pytest
from modelyard_registry.artifact_stores.choice import choose_artifact_store
from modelyard_registry.settings import Settings
from modelyard_runtime.ids import new_uuid7
from modelyard_stack.ports import HOST

from tests.integration.registry.door import Document, Door, digest_of, open_door
from tests.object_servers import ObjectServer
from tests.wires import Wire, WireState, wire_to

pytestmark = pytest.mark.integration

PATIENCE_S = 3.0
CONTENT = b"what must not get lost"
PATH = f"/artifacts/{digest_of(CONTENT)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A registry, and the wire that its storage hangs on."""

    door: Door
    wire: Wire


@pytest.fixture(params=["s3", "gcs", "azure"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which kind of storage."""
    return str(request.param)


@pytest.fixture
def server(kind: str, request: pytest.FixtureRequest) -> ObjectServer:
    """Where the objects are."""
    found: ObjectServer = request.getfixturevalue(f"{kind}_server")
    return found


@pytest.fixture
async def world(
    kind: str, server: ObjectServer, registry_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A registry over each kind of storage, set up by its settings; it waits for an answer less long than usual."""
    monkeypatch.setattr("modelyard_registry.artifact_stores.cloud.TIMEOUT_S", PATIENCE_S)
    monkeypatch.setattr("modelyard_registry.artifact_stores.s3.READ_TIMEOUT_S", PATIENCE_S)
    for name, setting in server.environment.items():
        monkeypatch.setenv(name, setting)
    address = urlsplit(server.endpoint)
    async with AsyncExitStack() as opened:
        wire, port = await opened.enter_async_context(wire_to(address.port or 80))
        settings = Settings.model_validate(
            {
                "artifact_store": kind,
                "artifact_bucket": server.bucket,
                "artifact_endpoint": urlunsplit(address._replace(netloc=f"{HOST}:{port}")),
                "artifact_region": "us-east-1",
                "state_unsigned": "allow",
            }
        )
        store = choose_artifact_store(settings, new_id=new_uuid7)
        door = await opened.enter_async_context(open_door(registry_database, tmp_path, store=store))
        yield World(door=await replace(door, project=f"p-{uuid.uuid4().hex[:12]}").found(), wire=wire)


@pytest.mark.parametrize("state", [WireState.CUT, WireState.FAILING, WireState.SILENT])
async def test_an_upload_to_a_storage_that_fails_is_told_and_succeeds_once_it_is_back(
    world: World, state: WireState
) -> None:
    world.wire.become(state)
    refused = await asyncio.gather(
        world.door.call("PUT", PATH, data=CONTENT),
        world.door.call("POST", f"{PATH}/uploads", {"bytes": len(CONTENT)}),
    )
    marks = await world.door.marks()

    world.wire.become(WireState.WHOLE)
    absent = await world.door.call("GET", PATH)
    kept = await world.door.call("PUT", PATH, data=CONTENT)

    assert [answer.status for answer in refused] == [503, 503]
    assert {answer.document["type"] for answer in refused} == {"/problems/artifact-store-unavailable"}
    assert all(answer.is_problem for answer in refused)
    assert marks == (0, 0)
    assert (absent.status, kept.status) == (404, 201)
    assert (await world.door.call("GET", PATH)).body == CONTENT
    assert await world.door.actions() == ["artifact.uploaded"]


async def test_an_upload_by_parts_outlives_an_outage_of_the_storage(world: World) -> None:
    begun: Document = (await world.door.call("POST", f"{PATH}/uploads", {"bytes": len(CONTENT)})).expect(201)
    [part] = begun["parts"]
    async with (
        aiohttp.ClientSession() as session,
        session.put(part["url"], data=CONTENT, headers=part["headers"]) as answer,
    ):
        assert answer.status in (200, 201)
    upload = f"{PATH}/uploads/{begun['upload_id']}"

    world.wire.become(WireState.CUT)
    refused = [
        await world.door.call("POST", f"{upload}/complete"),
        await world.door.call("GET", upload),
        await world.door.call("DELETE", upload),
    ]
    marks = await world.door.marks()
    world.wire.become(WireState.WHOLE)
    completed = await world.door.call("POST", f"{upload}/complete")

    assert [answer.status for answer in refused] == [503, 503, 503]
    assert marks == (0, 0)
    assert completed.status == 201
    assert (await world.door.call("GET", PATH)).body == CONTENT


async def test_a_download_from_a_storage_that_is_away_says_when_to_try_again(world: World) -> None:
    await world.door.upload(CONTENT)

    world.wire.become(WireState.CUT)
    url = f"{world.door.http.url}/api/v1/projects/{world.door.project}{PATH}"
    token = {"authorization": f"Bearer {world.door.http.token}"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=token) as refused:
        status, retry_after_s = refused.status, int(refused.headers["retry-after"])
    world.wire.become(WireState.WHOLE)

    assert (status, retry_after_s) == (503, 1)
    assert (await world.door.call("GET", PATH)).body == CONTENT
