"""Every kind of artifact store, each with what only its maker can do to it, and shorthands to use one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import obstore
import pytest
from modelyard_registry.artifact_stores.cloud import (
    CloudArtifactStore,
    PartSigner,
    azure_container,
    azure_signer,
    google_bucket,
    google_signer,
)
from modelyard_registry.artifact_stores.disk import DiskArtifactStore
from modelyard_registry.artifact_stores.memory import MemoryArtifactStore
from modelyard_registry.artifact_stores.ports import ArtifactStore
from modelyard_registry.artifact_stores.s3 import S3ArtifactStore, S3Settings
from modelyard_runtime.ids import new_uuid7
from obstore.store import AzureStore, GCSStore

from tests.object_servers import ObjectServer, s3_client

MIB = 1024 * 1024
LARGE = bytes(range(256)) * (20 * MIB // 256) + b"end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """A store, and what only its maker can do to it: change a stored byte, and list all that it holds."""

    store: ArtifactStore
    damage: Callable[[str], Awaitable[None]]
    leftovers: Callable[[], Awaitable[list[Any]]]


@pytest.fixture(
    params=[
        "memory",
        "disk",
        *(pytest.param(name, marks=pytest.mark.integration) for name in ("s3", "gcs", "azure")),
    ]
)
def kind(request: pytest.FixtureRequest) -> str:
    """Which kind of store."""
    return str(request.param)


@pytest.fixture
def object_server(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ObjectServer | None:
    """What the store keeps its objects in, with the credentials for it in the environment."""
    if kind in ("memory", "disk"):
        return None
    server: ObjectServer = request.getfixturevalue(f"{kind}_server")
    for name, setting in server.environment.items():
        monkeypatch.setenv(name, setting)
    return server


@pytest.fixture
async def kit(kind: str, object_server: ObjectServer | None, tmp_path: Path) -> AsyncIterator[Kit]:
    """One of each."""
    async with AsyncExitStack() as opened:
        if object_server is None:
            yield _memory() if kind == "memory" else await _disk(tmp_path, opened)
            return
        bucket, endpoint = object_server.bucket, object_server.endpoint
        match kind:
            case "s3":
                yield await _s3(object_server, opened)
            case "gcs":
                signer = google_signer(bucket, endpoint=endpoint)
                yield await _cloud(google_bucket(bucket, endpoint=endpoint), signer, opened)
            case "azure":
                signer = azure_signer(bucket, endpoint=endpoint)
                yield await _cloud(azure_container(bucket, endpoint=endpoint), signer, opened)


def digest_of(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


async def chunks_of(content: bytes, *, size: int = 60_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def keep(store: ArtifactStore, content: bytes) -> str:
    async with store.receive(chunks_of(content), bytes_max=100 * MIB) as incoming:
        await incoming.keep()
        return incoming.digest


async def read(store: ArtifactStore, digest: str, *, into: list[bytes] | None = None) -> bytes:
    """All bytes; what came before an error is in `into`."""
    received = [] if into is None else into
    async for chunk in store.read(digest):
        received += [chunk]
    return b"".join(received)


def _key(digest: str) -> str:
    name = digest.removeprefix("sha256:")
    return f"sha256/{name[:2]}/{name}"


def _memory() -> Kit:
    store = MemoryArtifactStore()

    async def damage(digest: str) -> None:
        store.kept[digest] = store.kept[digest][:-1] + b"?"

    async def leftovers() -> list[Any]:
        return [*store.kept, *store.staged]

    return Kit(store=store, damage=damage, leftovers=leftovers)


async def _disk(directory: Path, opened: AsyncExitStack) -> Kit:
    store = await opened.enter_async_context(DiskArtifactStore(directory, new_id=new_uuid7))

    async def damage(digest: str) -> None:
        path = directory / _key(digest)
        path.write_bytes(path.read_bytes()[:-1] + b"?")

    async def leftovers() -> list[Any]:
        return await asyncio.to_thread(_everything_in, directory)

    return Kit(store=store, damage=damage, leftovers=leftovers)


def _everything_in(directory: Path) -> list[Path]:
    return [each for each in directory.rglob("*") if each.is_file() or each.parent.name == "uploads"]


async def _s3(server: ObjectServer, opened: AsyncExitStack) -> Kit:
    settings = S3Settings(bucket=server.bucket, endpoint=server.endpoint, region="us-east-1")
    store = await opened.enter_async_context(S3ArtifactStore(settings, new_id=new_uuid7))
    client = await opened.enter_async_context(s3_client(server))

    async def damage(digest: str) -> None:
        found = await client.get_object(Bucket=server.bucket, Key=_key(digest))
        content = await found["Body"].read()
        await client.put_object(Bucket=server.bucket, Key=_key(digest), Body=content[:-1] + b"?")

    async def leftovers() -> list[Any]:
        objects = await client.list_objects_v2(Bucket=server.bucket)
        uploads = await client.list_multipart_uploads(Bucket=server.bucket)
        return [*objects.get("Contents", []), *uploads.get("Uploads", [])]

    return Kit(store=store, damage=damage, leftovers=leftovers)


async def _cloud(bucket: GCSStore | AzureStore, signer: PartSigner | None, opened: AsyncExitStack) -> Kit:
    store = await opened.enter_async_context(CloudArtifactStore(bucket, signer=signer, new_id=new_uuid7))

    async def damage(digest: str) -> None:
        content = bytes(await (await obstore.get_async(bucket, _key(digest))).bytes_async())
        await obstore.put_async(bucket, _key(digest), content[:-1] + b"?")

    async def leftovers() -> list[Any]:
        return [found async for batch in obstore.list(bucket) for found in batch]

    return Kit(store=store, damage=damage, leftovers=leftovers)
