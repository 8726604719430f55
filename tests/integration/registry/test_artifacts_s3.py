"""Artifacts in S3: sent straight to a storage that enforces signatures and checksums, proved by the registry."""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aiohttp
import pytest
from modelyard_registry.artifact_stores.s3 import S3ArtifactStore, S3Settings
from modelyard_runtime.ids import new_uuid7
from modelyard_stack.ports import HOST, free_ports

from tests.integration.registry.door import Document, Door, digest_of, open_door
from tests.object_servers import ObjectServer, s3_client

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
PART = 5 * MIB
PARTS = [b"\x80\x04" + bytes(PART - 2), b"the rest"]
WHOLE = b"".join(PARTS)
PATH = f"/artifacts/{digest_of(WHOLE)}"
BEGINNING = {"bytes": len(WHOLE), "part_bytes": PART}


@pytest.fixture
async def s3_door(
    s3_server: ObjectServer, registry_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Door]:
    """A registry that keeps its artifacts in S3."""
    for name, setting in s3_server.environment.items():
        monkeypatch.setenv(name, setting)
    settings = S3Settings(bucket=s3_server.bucket, endpoint=s3_server.endpoint, region="us-east-1")
    async with open_door(registry_database, tmp_path, store=S3ArtifactStore(settings, new_id=new_uuid7)) as door:
        yield await replace(door, project=f"p-{uuid.uuid4().hex[:12]}").found()


@pytest.fixture(autouse=True)
def large_artifacts(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3's parts are larger than what the other tests upload."""
    monkeypatch.setattr("tests.integration.registry.door.ARTIFACT_BYTES_MAX", 100 * MIB)


async def put(part: Document, content: bytes, *, url: str | None = None, **headers: str) -> int:
    """What a client does with a part: no token, only what the registry said."""
    async with (
        aiohttp.ClientSession() as session,
        session.put(url or part["url"], data=BytesIO(content), headers={**part["headers"], **headers}) as answer,
    ):
        return answer.status


async def begin(door: Door, **facts: object) -> Document:
    begun: Document = (await door.call("POST", f"{PATH}/uploads", {**BEGINNING, **facts})).expect(201)
    return begun


async def complete(door: Door, begun: Document) -> Document:
    completed: Document = (await door.call("POST", f"{PATH}/uploads/{begun['upload_id']}/complete")).expect(200, 201)
    return completed


async def keys(server: ObjectServer) -> list[str]:
    async with s3_client(server) as client:
        found = await client.list_objects_v2(Bucket=server.bucket)
        uploads = await client.list_multipart_uploads(Bucket=server.bucket)
    return [each["Key"] for each in found.get("Contents", [])] + [each["Key"] for each in uploads.get("Uploads", [])]


async def test_parts_go_straight_to_storage_and_become_an_artifact(s3_door: Door, s3_server: ObjectServer) -> None:
    begun = await begin(s3_door)

    statuses = [await put(part, content) for part, content in zip(begun["parts"], PARTS, strict=True)]
    completed = await complete(s3_door, begun)

    name = digest_of(WHOLE).removeprefix("sha256:")
    assert (begun["through"], statuses) == ("storage", [200, 200])
    assert all(part["url"].startswith(s3_server.endpoint) for part in begun["parts"])
    assert (completed["artifact_bytes"], completed["pickle"]) == (len(WHOLE), True)
    assert (await s3_door.call("GET", PATH)).body == WHOLE
    assert await keys(s3_server) == [f"sha256/{name[:2]}/{name}"]


async def test_what_one_request_cannot_copy_is_copied_in_parts(s3_door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelyard_registry.artifact_stores.s3.COPIED_AT_ONCE_BYTES", MIB)
    monkeypatch.setattr("modelyard_registry.artifact_stores.s3.COPIED_PART_BYTES", PART)
    begun = await begin(s3_door)
    for part, content in zip(begun["parts"], PARTS, strict=True):
        await put(part, content)

    await complete(s3_door, begun)

    assert (await s3_door.call("GET", PATH)).body == WHOLE


async def test_an_upload_that_was_cut_off_goes_on_with_new_addresses(s3_door: Door) -> None:
    begun = await begin(s3_door)
    await put(begun["parts"][1], PARTS[1])

    early = await s3_door.call("POST", f"{PATH}/uploads/{begun['upload_id']}/complete")
    resumed = (await s3_door.call("GET", f"{PATH}/uploads/{begun['upload_id']}")).expect(200)
    status = await put(resumed["parts"][0], PARTS[0])

    assert (early.status, early.document["missing"]) == (409, [1])
    assert [part["received"] for part in resumed["parts"]] == [False, True]
    assert status == 200
    await complete(s3_door, begun)


async def test_the_storage_refuses_a_part_with_a_wrong_checksum(s3_door: Door) -> None:
    begun = await begin(s3_door, part_digests=[sha256(part).hexdigest() for part in PARTS])
    last = begun["parts"][1]  # Small: the storage hangs up on whoever goes on sending after a refusal.
    other = base64.b64encode(sha256(b"other").digest()).decode()

    damaged = await put(last, b"the wrong")
    without = await put({**last, "headers": {}}, PARTS[1])
    forged = await put(last, PARTS[1], **{"x-amz-checksum-sha256": other})
    right = [await put(part, content) for part, content in zip(begun["parts"], PARTS, strict=True)]

    assert damaged == 400
    assert without >= 400
    assert forged >= 400
    assert right == [200, 200]
    await complete(s3_door, begun)
    assert (await s3_door.call("GET", PATH)).body == WHOLE


@pytest.mark.parametrize("changed", ["X-Amz-Signature", "partNumber", "uploadId", "path", "X-Amz-Expires"])
async def test_an_address_is_good_for_one_part_of_one_upload_only(s3_door: Door, changed: str) -> None:
    begun = await begin(s3_door)
    address = urlsplit(begun["parts"][0]["url"])
    query = dict(parse_qsl(address.query))
    path = address.path
    if changed == "path":
        path = path.replace("incoming/", "sha256/")
    else:
        query[changed] = {"partNumber": "2", "X-Amz-Expires": "86400"}.get(changed, "0" * len(query[changed]))

    status = await put({"headers": {}}, PARTS[1], url=urlunsplit(address._replace(path=path, query=urlencode(query))))

    assert status == 403


async def test_bytes_with_another_digest_never_become_an_artifact(s3_door: Door, s3_server: ObjectServer) -> None:
    begun = await begin(s3_door)
    await put(begun["parts"][0], PARTS[0][:-1] + b"?")
    await put(begun["parts"][1], PARTS[1])

    refused = await s3_door.call("POST", f"{PATH}/uploads/{begun['upload_id']}/complete")

    assert (refused.status, refused.document["type"]) == (422, "/problems/digest-mismatch")
    assert (await s3_door.call("GET", PATH)).status == 404
    assert await keys(s3_server) == []


async def test_what_was_completed_cannot_be_changed_with_its_old_addresses(s3_door: Door) -> None:
    begun = await begin(s3_door)
    for part, content in zip(begun["parts"], PARTS, strict=True):
        await put(part, content)
    await complete(s3_door, begun)

    late = await put(begun["parts"][0], b"late")

    assert late == 404
    assert (await s3_door.call("GET", PATH)).body == WHOLE


async def test_an_aborted_upload_leaves_nothing_in_the_bucket(s3_door: Door, s3_server: ObjectServer) -> None:
    begun = await begin(s3_door)
    await put(begun["parts"][0], PARTS[0])

    aborted = await s3_door.call("DELETE", f"{PATH}/uploads/{begun['upload_id']}")

    assert aborted.status == 204
    assert await keys(s3_server) == []


async def test_two_projects_share_one_object_and_neither_reads_the_others(
    s3_door: Door, s3_server: ObjectServer
) -> None:
    elsewhere = await s3_door.beside()
    digest = await s3_door.upload(b"shared")

    before = await elsewhere.call("GET", f"/artifacts/{digest}")
    await elsewhere.upload(b"shared")

    assert before.status == 404
    assert (await elsewhere.call("GET", f"/artifacts/{digest}")).body == b"shared"
    assert len(await keys(s3_server)) == 1


async def test_a_storage_that_is_away_is_told_and_changes_nothing(
    registry_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [nobody] = free_ports(1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    settings = S3Settings(bucket="models", endpoint=f"http://{HOST}:{nobody}", region="us-east-1")

    async with open_door(registry_database, tmp_path, store=S3ArtifactStore(settings, new_id=new_uuid7)) as door:
        door = await replace(door, project=f"p-{uuid.uuid4().hex[:12]}").found()
        answers = await asyncio.gather(
            door.call("PUT", f"/artifacts/{digest_of(b'x')}", data=b"x"),
            door.call("POST", f"{PATH}/uploads", BEGINNING),
        )

        assert [answer.status for answer in answers] == [503, 503]
        assert {answer.document["type"] for answer in answers} == {"/problems/artifact-store-unavailable"}
        assert await door.marks() == (0, 0)


async def test_a_storage_that_stops_taking_a_body_fails_the_upload_in_time(
    registry_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr("modelyard_registry.artifact_stores.s3.WRITE_BYTES_PER_S_MIN", 100 * MIB)
    done = asyncio.Event()

    async def read_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(read_nothing, HOST, 0, limit=1)
    endpoint = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    store = S3ArtifactStore(
        S3Settings(bucket="models", endpoint=endpoint, region="us-east-1"), new_id=new_uuid7, write_timeout_s=1.0
    )

    async with open_door(registry_database, tmp_path, store=store) as door:
        door = await replace(door, project=f"p-{uuid.uuid4().hex[:12]}").found()
        content = bytes(7 * MIB)
        async with asyncio.timeout(20):
            answer = await door.call("PUT", f"/artifacts/{digest_of(content)}", data=content)
    done.set()
    server.close()

    assert (answer.status, answer.document["type"]) == (503, "/problems/artifact-store-unavailable")
