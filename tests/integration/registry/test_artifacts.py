"""Artifacts over HTTP: proved on the way in and out, and nothing is left of what was not whole."""

import asyncio
import base64
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from modelyard_registry.artifact_stores.disk import DiskArtifactStore
from modelyard_runtime.ids import new_uuid7
from yarl import URL

from tests.integration.registry.door import ARTIFACT_BYTES_MAX, Door, digest_of, versions
from tests.world.waiting import until

pytestmark = pytest.mark.integration

SMALL = b"\x80\x04K\x01."  # A pickle of the number 1.
LARGE = bytes(range(256)) * 10_000


def file_of(door: Door, digest: str) -> Path:
    name = digest.removeprefix("sha256:")
    return door.artifacts / "sha256" / name[:2] / name


def incoming(door: Door) -> list[Path]:
    return list((door.artifacts / "incoming").iterdir())


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_an_artifact_comes_back_as_it_was_sent(door: Door, content: bytes) -> None:
    digest = digest_of(content)

    uploaded = (await door.call("PUT", f"/artifacts/{digest}", data=content)).expect(201)
    downloaded = await door.call("GET", f"/artifacts/{digest}")

    [entry] = await door.audit()
    assert (uploaded["digest"], uploaded["artifact_bytes"]) == (digest, len(content))
    assert downloaded.body == content
    assert (entry["action"], entry["digest"]) == ("artifact.uploaded", digest)


async def test_a_format_is_sniffed_and_never_opened(door: Door) -> None:
    uploaded = (await door.call("PUT", f"/artifacts/{digest_of(SMALL)}", data=SMALL)).expect(201)
    claimed = (await door.call("PUT", f"/artifacts/{digest_of(SMALL + b'2')}?format=dill", data=SMALL + b"2")).expect(
        201
    )

    assert (uploaded["format"], claimed["format"]) == ("pickle", "dill")


async def test_the_same_artifact_again_changes_nothing(door: Door) -> None:
    digest = await door.upload(LARGE)
    marks = await door.marks()

    replies = await asyncio.gather(*(door.call("PUT", f"/artifacts/{digest}", data=LARGE) for _ in range(4)))

    assert [reply.status for reply in replies] == [200] * 4
    assert await door.marks() == marks
    assert incoming(door) == []


@pytest.mark.parametrize(
    ("path", "content", "status", "problem"),
    [
        (f"/artifacts/{digest_of(b'other')}", b"this", 422, "digest-mismatch"),
        (f"/artifacts/{digest_of(b'')}", b"", 422, "artifact-empty"),
        (f"/artifacts/{digest_of(b'text')}?format=onnx", b"text", 422, "format-contradicted"),
        (f"/artifacts/{digest_of(b'text')}?format=exe", b"text", 422, "invalid-request"),
        ("/artifacts/sha256:abc", b"text", 422, "invalid-request"),
        (f"/artifacts/{digest_of(b'text').upper()}", b"text", 422, "invalid-request"),
        ("/artifacts/..%2f..%2fetc%2fpasswd", b"text", 422, "invalid-request"),
        ("/artifacts/%2e%2e%5cx", b"text", 422, "invalid-request"),
    ],
)
async def test_a_bad_upload_is_refused_and_leaves_nothing(
    door: Door, path: str, content: bytes, status: int, problem: str
) -> None:
    url = URL(f"{door.http.url}/api/v1/projects/{door.project}{path}", encoded=True)
    headers = {"authorization": f"Bearer {door.http.token}"}

    async with door.http.session.put(url, data=content, headers=headers) as answer:
        document = await answer.json(content_type="application/problem+json")

    assert (answer.status, document["type"]) == (status, f"/problems/{problem}")
    assert incoming(door) == []
    assert not file_of(door, digest_of(content)).exists()
    assert await door.marks() == (0, 0)


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
async def test_an_artifact_beyond_the_limit_is_refused(door: Door, announced: bool) -> None:
    too_much = bytes(ARTIFACT_BYTES_MAX + 1)
    path = f"/artifacts/{digest_of(too_much)}"

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(too_much), 65_536):
            yield too_much[start : start + 65_536]

    if announced:
        status, document = await _announce(door, path, length=len(too_much))
    else:
        url = f"{door.http.url}/api/v1/projects/{door.project}{path}"
        headers = {"authorization": f"Bearer {door.http.token}"}
        async with door.http.session.put(url, data=chunks(), headers=headers) as answer:
            status, document = answer.status, (await answer.read()).decode()

    assert status == 413
    assert "MODELYARD_ARTIFACT_BYTES_MAX" in document
    assert incoming(door) == []
    assert await door.marks() == (0, 0)


async def _announce(door: Door, path: str, *, length: int) -> tuple[int, str]:
    """The answer to an upload of which not a byte was sent."""
    reader, writer = await _send(door, path, length=length, content=b"")
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.read(2_000)
    writer.close()
    return int(head.split()[1]), body.decode()


async def _send(
    door: Door, path: str, *, length: int, content: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address = urlsplit(door.http.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = (
        f"PUT /api/v1/projects/{door.project}{path} HTTP/1.1\r\nhost: registry\r\n"
        f"authorization: Bearer {door.http.token}\r\ncontent-length: {length}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    await writer.drain()
    return reader, writer


async def _incoming_count(door: Door) -> int:
    return len(incoming(door))


async def test_an_upload_that_is_cut_off_half_way_leaves_nothing(door: Door) -> None:
    content = LARGE + door.project.encode()
    digest = digest_of(content)
    _, writer = await _send(door, f"/artifacts/{digest}", length=len(content), content=LARGE)
    await until(partial(_incoming_count, door), lambda count: count == 1)

    writer.transport.abort()

    await until(partial(_incoming_count, door), lambda count: count == 0)
    assert (await door.call("GET", f"/artifacts/{digest}")).status == 404
    assert not file_of(door, digest).exists()
    assert await door.marks() == (0, 0)


async def test_bytes_without_a_row_are_found_by_the_next_upload(door: Door) -> None:
    content = b"kept by a registry that was killed before it could write the row: " + door.project.encode()
    digest = digest_of(content)

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    store = DiskArtifactStore(door.artifacts, new_id=new_uuid7)
    async with store.receive(chunks(), bytes_max=10_000) as received:
        await received.keep()
    before = await door.call("GET", f"/artifacts/{digest}")

    uploaded = await door.call("PUT", f"/artifacts/{digest}", data=content)

    assert (before.status, uploaded.status) == (404, 201)
    assert (await door.call("GET", f"/artifacts/{digest}")).body == content


async def test_head_and_get_tell_the_digest(door: Door) -> None:
    digest = await door.upload(LARGE)
    url = f"{door.http.url}/api/v1/projects/{door.project}/artifacts/{digest}"
    headers = {"authorization": f"Bearer {door.http.token}"}

    async with door.http.session.head(url, headers=headers) as head:
        assert (head.status, head.content_length) == (200, len(LARGE))
    async with door.http.session.get(url, headers=headers) as answer:
        encoded = base64.b64encode(bytes.fromhex(digest.removeprefix("sha256:"))).decode()
        assert answer.headers["digest"] == head.headers["digest"] == f"sha-256={encoded}"
        etag = answer.headers["etag"]
    async with door.http.session.get(url, headers={**headers, "if-none-match": etag}) as unchanged:
        assert (unchanged.status, await unchanged.read()) == (304, b"")


async def test_an_artifact_belongs_to_the_project_that_uploaded_it(door: Door) -> None:
    digest = await door.upload(SMALL)
    elsewhere = await door.beside()

    assert (await elsewhere.call("GET", f"/artifacts/{digest}")).status == 404
    assert (await elsewhere.call("HEAD", f"/artifacts/{digest}")).status == 404


async def test_a_wrong_byte_in_a_small_artifact_is_a_problem(door: Door) -> None:
    await door.create()
    content = b"small " + door.project.encode()
    version = await door.register(digest=await door.upload(content))
    file_of(door, version["digest"]).write_bytes(content[:-1] + b"?")

    for path in (f"/artifacts/{version['digest']}", f"{versions()}/1/artifact"):
        reply = await door.call("GET", path)
        assert reply.status == 500
        assert reply.document["type"] == "/problems/artifact-damaged"


async def test_a_wrong_byte_in_a_large_artifact_breaks_the_answer_off(door: Door) -> None:
    content = LARGE + door.project.encode()
    digest = await door.upload(content)
    file_of(door, digest).write_bytes(content[:-1] + b"?")

    with pytest.raises(aiohttp.ClientPayloadError):
        await door.call("GET", f"/artifacts/{digest}")


async def test_a_lost_file_is_a_problem_and_is_mended_by_an_upload(door: Door) -> None:
    content = b"lost " + door.project.encode()
    digest = await door.upload(content)
    file_of(door, digest).unlink()

    lost = await door.call("GET", f"/artifacts/{digest}")
    await door.upload(content)

    assert lost.status == 404
    assert (await door.call("GET", f"/artifacts/{digest}")).body == content


async def test_a_version_gives_out_the_artifact_that_it_was_registered_with(door: Door) -> None:
    await door.create()
    await door.register(digest=await door.upload(SMALL))
    await door.register(digest=await door.upload(LARGE))

    assert (await door.call("GET", f"{versions()}/1/artifact")).body == SMALL
    assert (await door.call("GET", f"{versions()}/latest/artifact")).body == LARGE
