"""Artifacts in Google Cloud Storage or Azure Blob, through obstore, each under a key that is its digest.

Parts are objects of their own below `incoming/`. Clients PUT them to addresses signed with the account's key
where there is one, and through the registry where not. They are read and hashed, and then poured under the
digest, hashed once more on the way: the last bytes are sent only when they are those that were proved, and
what is not sent whole never shows. So an address that is still good can change no artifact.
"""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

import obstore
import structlog
from modelyard_runtime.ids import NewId
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import AzureStore, GCSStore

from modelyard_registry.artifact_stores.ports import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStoreUnavailableError,
    IncomingArtifact,
    PartTarget,
    artifact_missing,
    discard_if_possible,
    refuse_missing_parts,
    store_unavailable,
    upload_lost,
)
from modelyard_registry.artifact_stores.proving import Proof, ProvedArtifact, in_pieces, key_of, proved, proving

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, RetryConfig

MIB = 1024 * 1024
CHUNK_BYTES = 4 * MIB
PIECE_BYTES = 16 * MIB
POURED_AT_ONCE_MAX = 4
STAGED = "incoming/"
MARK = "begun"
"""The object that says that an upload is there before its first part is."""

GOOGLE_KEYS = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_SERVICE_ACCOUNT_KEY")
AZURE_KEYS = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY")
URL_VALID = timedelta(hours=1)
TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSigner:
    """Signs addresses for parts. `bucket` is the storage as clients reach it; `headers` go with each PUT."""

    bucket: GCSStore | AzureStore
    headers: Mapping[str, str] = field(default_factory=dict)


def google_bucket(bucket: str, *, endpoint: str | None) -> GCSStore:
    """A bucket that is there already; credentials come from the usual environment.

    An endpoint without TLS is an emulator, which is asked without credentials.
    """
    config: GCSConfig = {}
    if endpoint is not None:
        config["base_url"] = endpoint
        if _is_plain(endpoint):
            # Any token will do for an emulator. Without one, this machine's own would be asked for and sent there.
            config["bearer_token"] = "emulator"
    return GCSStore(bucket, config=config, retry_config=_RETRIES, client_options=_client(endpoint))


def azure_container(container: str, *, endpoint: str | None) -> AzureStore:
    """A container that is there already; account and credentials come from the usual environment."""
    config: AzureConfig = {} if endpoint is None else {"endpoint": endpoint}
    return AzureStore(container, config=config, retry_config=_RETRIES, client_options=_client(endpoint))


def google_signer(bucket: str, *, endpoint: str | None) -> PartSigner | None:
    """None where no key of a service account is given: Google would be asked for each signature, and may refuse.

    None at another endpoint with TLS too: obstore signs for Google's own name only, which an emulator overlooks.
    """
    if not _is_set(GOOGLE_KEYS) or (endpoint is not None and not _is_plain(endpoint)):
        return None
    return PartSigner(bucket=google_bucket(bucket, endpoint=endpoint))


def azure_signer(container: str, *, endpoint: str | None) -> PartSigner | None:
    """None where the account's key is not given."""
    if not _is_set(AZURE_KEYS):
        return None
    return PartSigner(bucket=azure_container(container, endpoint=endpoint), headers={"x-ms-blob-type": "BlockBlob"})


class CloudArtifactStore:
    """Keeps artifacts in a bucket or container that obstore speaks with. Use as an async context manager."""

    part_bytes_min = 64 * 1024
    part_bytes_max = 64 * MIB

    def __init__(self, bucket: GCSStore | AzureStore, *, signer: PartSigner | None = None, new_id: NewId) -> None:
        self._bucket = bucket
        self._signer = signer
        self._new_id = new_id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterator[bytes], *, bytes_max: int) -> AsyncIterator[IncomingArtifact]:
        """Take in `chunks`, staged as parts meanwhile; see `ArtifactStore`."""
        proof = Proof()
        staging = self._new_id()
        count = 0
        try:
            async for piece in in_pieces(proving(chunks, proof, bytes_max=bytes_max), piece_bytes=PIECE_BYTES):
                count += 1
                await self._put(_part(staging, count), piece)
            yield ProvedArtifact(proof=proof, save=partial(self._pour, proof, staging=staging, count=count))
        finally:
            await discard_if_possible(self, staging)

    async def read(self, digest: str) -> AsyncIterator[bytes]:
        """The bytes under `digest`, checked while they are read; see `ArtifactStore`."""
        try:
            async for chunk in proved(self._read(key_of(digest)), digest=digest):
                yield chunk
        except FileNotFoundError as error:
            raise artifact_missing(digest) from error

    async def read_range(self, digest: str, *, first: int, last: int) -> AsyncIterator[bytes]:
        """Some of the bytes, unchecked; see `ArtifactStore`."""
        try:
            async with aclosing(self._read_span(key_of(digest), first=first, end=last + 1)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except FileNotFoundError as error:
            raise artifact_missing(digest) from error

    async def begin(self, *, with_checksums: bool) -> str:
        """A name for the parts; see `StagedUploads`."""
        staging = self._new_id()
        await self._put(f"{STAGED}{staging}/{MARK}", b"")
        return staging

    async def part_target(self, staging: str, *, number: int, checksum: bytes | None) -> PartTarget | None:
        """A signed address for this part alone, or None: it comes through the registry; see `StagedUploads`.

        None with a `checksum` too: these storages take no SHA-256 with a PUT, so the registry compares it.
        """
        if self._signer is None or checksum is not None:
            return None
        with _errors():
            url = await obstore.sign_async(self._signer.bucket, "PUT", _part(staging, number), URL_VALID)
        return PartTarget(url=url, headers=self._signer.headers)

    async def write_part(self, staging: str, *, number: int, chunks: AsyncIterator[bytes]) -> None:
        """Stage a part, held in memory meanwhile; see `StagedUploads`."""
        content = b"".join([chunk async for chunk in chunks])
        await self.list_parts(staging)
        await self._put(_part(staging, number), content)

    async def list_parts(self, staging: str) -> Mapping[int, int]:
        """The sizes of the staged parts; see `StagedUploads`."""
        found = {path: size for path, size, _ in await self._list(f"{STAGED}{staging}/")}
        if not found:
            raise upload_lost()
        names = {path.rpartition("/")[2]: size for path, size in found.items()}
        return {int(name): size for name, size in names.items() if name != MARK}

    @asynccontextmanager
    async def assembled(self, staging: str, *, sizes: Sequence[int]) -> AsyncIterator[IncomingArtifact]:
        """The parts as one artifact; see `StagedUploads`."""
        refuse_missing_parts(await self.list_parts(staging), sizes=sizes)
        proof = Proof()
        async for chunk in self._read_parts(staging, count=len(sizes)):
            await proof.add(chunk)
        yield ProvedArtifact(proof=proof, save=partial(self._pour, proof, staging=staging, count=len(sizes)))

    async def discard(self, staging: str) -> None:
        """Remove the parts; see `StagedUploads`."""
        paths = [path for path, _, _ in await self._list(f"{STAGED}{staging}/")]
        if paths:
            await self._delete(paths)

    async def discard_stale(self, *, before: datetime) -> int:
        """Remove old parts; see `StagedUploads`."""
        newest: dict[str, datetime] = {}
        for path, _, modified in await self._list(STAGED):
            staging = path.split("/")[1]
            newest[staging] = max(modified, newest.get(staging, modified))
        stale = [staging for staging, modified in newest.items() if modified < before]
        for staging in stale:
            await self.discard(staging)
        return len(stale)

    async def _pour(self, proof: Proof, *, staging: str, count: int) -> None:
        content = proved(self._read_parts(staging, count=count), digest=proof.digest)
        try:
            with _errors():
                await obstore.put_async(
                    self._bucket,
                    key_of(proof.digest),
                    content,
                    chunk_size=PIECE_BYTES,
                    max_concurrency=POURED_AT_ONCE_MAX,
                )
        except ArtifactStoreUnavailableError:
            # Azure drops the blocks of all others as soon as one of several writers of an object is done.
            if not await self._is_whole(proof.digest):
                raise

    async def _is_whole(self, digest: str) -> bool:
        try:
            async for _ in self.read(digest):
                pass
        except (ArtifactMissingError, ArtifactDamagedError):
            return False
        return True

    async def _read_parts(self, staging: str, *, count: int) -> AsyncGenerator[bytes, None]:
        for number in range(1, count + 1):
            try:
                async for chunk in self._read(_part(staging, number)):
                    yield chunk
            except FileNotFoundError as error:
                raise upload_lost() from error

    async def _read(self, path: str) -> AsyncGenerator[bytes, None]:
        """By ranges, so that the deadline of a request is one for a chunk, not for all of a large object."""
        with _errors():
            size_bytes = (await obstore.head_async(self._bucket, path))["size"]
        async for chunk in self._read_span(path, first=0, end=size_bytes):
            yield chunk

    async def _read_span(self, path: str, *, first: int, end: int) -> AsyncGenerator[bytes, None]:
        with _errors():
            for start in range(first, end, CHUNK_BYTES):
                stop = min(start + CHUNK_BYTES, end)
                yield bytes(await obstore.get_range_async(self._bucket, path, start=start, end=stop))

    async def _put(self, path: str, content: bytes) -> None:
        with _errors():
            await obstore.put_async(self._bucket, path, content, use_multipart=False)

    async def _list(self, prefix: str) -> list[tuple[str, int, datetime]]:
        with _errors():
            return [
                (found["path"], found["size"], found["last_modified"])
                async for batch in obstore.list(self._bucket, prefix)
                for found in batch
            ]

    async def _delete(self, paths: Sequence[str]) -> None:
        try:
            with _errors():
                await obstore.delete_async(self._bucket, paths)
        except FileNotFoundError:
            return


_RETRIES: "RetryConfig" = {"max_retries": 3, "retry_timeout": timedelta(seconds=60)}


def _client(endpoint: str | None) -> "ClientConfig":
    return {
        "timeout": timedelta(seconds=TIMEOUT_S),
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "allow_http": endpoint is not None and _is_plain(endpoint),
    }


def _is_set(names: Sequence[str]) -> bool:
    return any(os.environ.get(name) for name in names)


def _is_plain(endpoint: str) -> bool:
    return endpoint.startswith("http://")


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the storage's errors into problems; FileNotFoundError is the caller's to understand."""
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise FileNotFoundError from error
    except (BaseError, OSError, TimeoutError) as error:
        log.error("artifact_store_failed", error=repr(error)[:1_000])
        raise store_unavailable("it does not answer as it should") from error


def _part(staging: str, number: int) -> str:
    return f"{STAGED}{staging}/{number}"
