"""Artifacts in S3 or what speaks like it, each under a key that is its digest.

Clients never get an address below `sha256/`: they PUT parts of a multipart upload below `incoming/`. The
registry completes it (from then on nobody can change it), reads and hashes all of it, and only then has
the storage copy it to its digest. aioboto3's releases lag behind the service, so it is used here only.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import aioboto3
import aiohttp
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import add_expect_header
from modelyard_runtime.ids import NewId

from modelyard_registry.artifact_stores.ports import (
    ArtifactDamagedError,
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
    from collections.abc import Iterator

    from types_aiobotocore_s3 import S3Client

CHUNK_BYTES = 1024 * 1024
MIB = 1024 * 1024
BUFFERED_BYTES = 8 * MIB
COPIED_AT_ONCE_BYTES = 4 * 1024 * MIB
"""One request copies 5 GiB at most."""
COPIED_PART_BYTES = 1024 * MIB
URL_VALID_S = 3_600
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
WRITE_BYTES_PER_S_MIN = 256 * 1024
"""A storage that takes a body more slowly than this has failed. The HTTP client bounds reading only."""
ATTEMPTS_MAX = 3
STAGED = "incoming/"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """Which bucket. Without an endpoint it is Amazon's; credentials come from the usual environment.

    `public_endpoint` is how clients reach the storage, where that differs from how the registry does.
    """

    bucket: str
    endpoint: str | None = None
    public_endpoint: str | None = None
    region: str | None = None


class S3ArtifactStore:
    """Keeps artifacts in a bucket that is there already. Use as an async context manager."""

    part_bytes_min = 5 * MIB
    part_bytes_max = 1024 * MIB

    def __init__(self, settings: S3Settings, *, new_id: NewId, write_timeout_s: float = READ_TIMEOUT_S) -> None:
        self._settings = settings
        self._write_timeout_s = write_timeout_s
        self._bucket = settings.bucket
        self._new_id = new_id
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._opened.__aenter__()
        self._client = await self._open(self._settings.endpoint)
        public = self._settings.public_endpoint
        self._signer = await self._open(public) if public else self._client
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def _open(self, endpoint: str | None) -> "S3Client":
        config: Any = Config(
            signature_version="s3v4",  # Without it, presigned addresses carry the signature that was withdrawn.
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"max_attempts": ATTEMPTS_MAX, "mode": "standard"},
            s3={"addressing_style": "path"} if endpoint else None,
            # We prove every byte by its SHA-256; not every server knows the newer defaults.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        region = self._settings.region
        client = aioboto3.Session().client("s3", endpoint_url=endpoint, region_name=region, config=config)
        opened = await self._opened.enter_async_context(client)
        # Waiting for leave to send a body (100 Continue) has no deadline: a silent server would hold uploads for ever.
        opened.meta.events.unregister("before-call.s3", add_expect_header)
        return opened

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterator[bytes], *, bytes_max: int) -> AsyncIterator[IncomingArtifact]:
        """Take in `chunks`; see `ArtifactStore`. What does not fit into memory is staged as a multipart upload."""
        proof = Proof()
        pieces = in_pieces(proving(chunks, proof, bytes_max=bytes_max), piece_bytes=BUFFERED_BYTES)
        async with aclosing(pieces):
            first = await anext(pieces, b"")
            second = await anext(pieces, None)
            if second is None:
                yield ProvedArtifact(proof=proof, save=partial(self._put, proof, first))
                return
            staging = await self.begin(with_checksums=False)
            try:
                await self._put_part(staging, number=1, content=first)
                await self._put_part(staging, number=2, content=second)
                number = 3
                async for piece in pieces:
                    await self._put_part(staging, number=number, content=piece)
                    number += 1
                key, etag = await self._complete(staging, sizes=None)
                yield ProvedArtifact(proof=proof, save=partial(self._copy, proof, key=key, etag=etag))
            finally:
                await discard_if_possible(self, staging)

    async def read(self, digest: str) -> AsyncIterator[bytes]:
        """The bytes under `digest`, checked while they are read; see `ArtifactStore`."""
        async with aclosing(self._read(key_of(digest))) as chunks:
            try:
                async for chunk in proved(chunks, digest=digest):
                    yield chunk
            except _KeyAbsentError as error:
                raise artifact_missing(digest) from error

    async def read_range(self, digest: str, *, first: int, last: int) -> AsyncIterator[bytes]:
        """Some of the bytes, unchecked; see `ArtifactStore`."""
        async with aclosing(self._read(key_of(digest), Range=f"bytes={first}-{last}")) as chunks:
            try:
                async for chunk in chunks:
                    yield chunk
            except _KeyAbsentError as error:
                raise artifact_missing(digest) from error

    async def begin(self, *, with_checksums: bool) -> str:
        """A multipart upload below `incoming/`; see `StagedUploads`."""
        key = f"{STAGED}{self._new_id()}"
        options: Any = {"ChecksumAlgorithm": "SHA256"} if with_checksums else {}
        with _errors():
            begun = await self._client.create_multipart_upload(Bucket=self._bucket, Key=key, **options)
        return f"{key}#{begun['UploadId']}"

    async def part_target(self, staging: str, *, number: int, checksum: bytes | None) -> PartTarget | None:
        """A presigned address for this part alone; see `StagedUploads`."""
        key, upload_id = _parse(staging)
        parameters: dict[str, Any] = {"Bucket": self._bucket, "Key": key, "UploadId": upload_id, "PartNumber": number}
        headers = {}
        if checksum is not None:
            parameters["ChecksumSHA256"] = headers["x-amz-checksum-sha256"] = base64.b64encode(checksum).decode()
        with _errors():
            url = await self._signer.generate_presigned_url("upload_part", Params=parameters, ExpiresIn=URL_VALID_S)
        return PartTarget(url=url, headers=headers)

    async def write_part(self, staging: str, *, number: int, chunks: AsyncIterator[bytes]) -> None:
        """Stage a part that came through the registry, held in memory meanwhile; see `StagedUploads`."""
        await self._put_part(staging, number=number, content=b"".join([chunk async for chunk in chunks]))

    async def list_parts(self, staging: str) -> Mapping[int, int]:
        """The sizes of the staged parts; see `StagedUploads`."""
        try:
            return {part["PartNumber"]: part["Size"] for part in await self._parts(staging)}
        except _KeyAbsentError as error:
            raise upload_lost() from error

    @asynccontextmanager
    async def assembled(self, staging: str, *, sizes: Sequence[int]) -> AsyncIterator[IncomingArtifact]:
        """The parts as one artifact, read and hashed here; see `StagedUploads`."""
        key, etag = await self._complete(staging, sizes=sizes)
        proof = Proof()
        try:
            async for chunk in self._read(key):
                await proof.add(chunk)
        except _KeyAbsentError as error:
            raise upload_lost() from error
        yield ProvedArtifact(proof=proof, save=partial(self._copy, proof, key=key, etag=etag))

    async def discard(self, staging: str) -> None:
        """Abort the upload, and remove what it had become; see `StagedUploads`."""
        key, upload_id = _parse(staging)
        with suppress(_KeyAbsentError), _errors():
            await self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        with suppress(_KeyAbsentError), _errors():
            await self._client.delete_object(Bucket=self._bucket, Key=key)

    async def discard_stale(self, *, before: datetime) -> int:
        """Abort and remove whatever is old below `incoming/`; see `StagedUploads`."""
        stale: set[str] = set()
        with suppress(_KeyAbsentError), _errors():
            uploads = self._client.get_paginator("list_multipart_uploads")
            async for page in uploads.paginate(Bucket=self._bucket, Prefix=STAGED):
                for upload in page.get("Uploads", []):
                    if upload["Initiated"] < before:
                        stale.add(f"{upload['Key']}#{upload['UploadId']}")
            objects = self._client.get_paginator("list_objects_v2")
            async for found in objects.paginate(Bucket=self._bucket, Prefix=STAGED):
                for each in found.get("Contents", []):
                    if each["LastModified"] < before:
                        await self._client.delete_object(Bucket=self._bucket, Key=each["Key"])
                        stale.add(each["Key"])
        for staging in (each for each in stale if "#" in each):
            await self.discard(staging)
        return len(stale)

    async def _put(self, proof: Proof, content: bytes) -> None:
        """Put a small artifact under its digest; what is there already is replaced only when it is damaged."""
        named: Any = {
            "Bucket": self._bucket,
            "Key": key_of(proof.digest),
            "Body": content,
            "ChecksumSHA256": base64.b64encode(bytes.fromhex(proof.digest.removeprefix("sha256:"))).decode(),
        }
        try:
            with _errors():
                async with self._writing(content):
                    await self._client.put_object(**named, IfNoneMatch="*")
        except _ThereAlreadyError:
            if not await self._is_whole(proof.digest):
                with _errors():
                    async with self._writing(content):
                        await self._client.put_object(**named)

    async def _copy(self, proof: Proof, *, key: str, etag: str) -> None:
        """Copy what was proved to its digest, inside the storage; equal bytes may replace equal bytes."""
        target = key_of(proof.digest)
        source: Any = {"CopySource": {"Bucket": self._bucket, "Key": key}, "CopySourceIfMatch": etag}
        try:
            with _errors():
                if proof.size_bytes <= COPIED_AT_ONCE_BYTES:
                    await self._client.copy_object(Bucket=self._bucket, Key=target, **source)
                else:
                    await self._copy_in_parts(source, size_bytes=proof.size_bytes, target=target)
        except (_KeyAbsentError, _ThereAlreadyError) as error:
            raise upload_lost() from error

    async def _copy_in_parts(self, source: Any, *, size_bytes: int, target: str) -> None:
        begun = await self._client.create_multipart_upload(Bucket=self._bucket, Key=target)
        upload: Any = {"Bucket": self._bucket, "Key": target, "UploadId": begun["UploadId"]}
        parts: list[Any] = []
        try:
            for number, start in enumerate(range(0, size_bytes, COPIED_PART_BYTES), start=1):
                last = min(start + COPIED_PART_BYTES, size_bytes) - 1
                copied = await self._client.upload_part_copy(
                    **upload,
                    PartNumber=number,
                    **source,
                    CopySourceRange=f"bytes={start}-{last}",
                )
                parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
            await self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            await self._client.abort_multipart_upload(**upload)
            raise

    async def _is_whole(self, digest: str) -> bool:
        try:
            async for _ in self.read(digest):
                pass
        except ArtifactDamagedError:
            return False
        return True

    async def _read(self, key: str, **options: Any) -> AsyncGenerator[bytes, None]:
        with _errors():
            answer = await self._client.get_object(Bucket=self._bucket, Key=key, **options)
            async with answer["Body"] as body:
                while chunk := await body.content.read(CHUNK_BYTES):
                    yield chunk

    async def _put_part(self, staging: str, *, number: int, content: bytes) -> None:
        key, upload_id = _parse(staging)
        try:
            with _errors():
                async with self._writing(content):
                    await self._client.upload_part(
                        Bucket=self._bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=content
                    )
        except _KeyAbsentError as error:
            raise upload_lost() from error

    def _writing(self, content: bytes) -> asyncio.Timeout:
        """The deadline of one request with this body, all its attempts included. Past it, TimeoutError is raised."""
        return asyncio.timeout(self._write_timeout_s + len(content) / WRITE_BYTES_PER_S_MIN)

    async def _parts(self, staging: str) -> list[Any]:
        key, upload_id = _parse(staging)
        with _errors():
            pages = self._client.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=upload_id)
            return [part async for page in pages for part in page.get("Parts", [])]

    async def _complete(self, staging: str, *, sizes: Sequence[int] | None) -> tuple[str, str]:
        """Key and ETag of the parts as one object. It may have been completed before, by a process that was killed."""
        key, upload_id = _parse(staging)
        try:
            parts = await self._parts(staging)
            if sizes is not None:
                refuse_missing_parts({part["PartNumber"]: part["Size"] for part in parts}, sizes=sizes)
            named: Any = {
                "Parts": [
                    {name: part[name] for name in ("PartNumber", "ETag", "ChecksumSHA256") if name in part}
                    for part in parts
                ]
            }
            with _errors():
                done = await self._client.complete_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload=named
                )
            return key, done["ETag"]
        except _KeyAbsentError:
            return key, await self._etag_of(key)

    async def _etag_of(self, key: str) -> str:
        try:
            with _errors():
                return (await self._client.head_object(Bucket=self._bucket, Key=key))["ETag"]
        except _KeyAbsentError as error:
            raise upload_lost() from error


class _KeyAbsentError(Exception):
    pass


class _ThereAlreadyError(Exception):
    pass


@contextmanager
def _errors() -> "Iterator[None]":
    """Turn the storage's errors into problems: all but "not there" and "there already" mean that it failed."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("NoSuchKey", "NoSuchUpload", "404"):
            raise _KeyAbsentError from error
        if code in ("PreconditionFailed", "412"):
            raise _ThereAlreadyError from error
        log.error("artifact_store_failed", error=str(error))
        raise store_unavailable(f"it answered {code}") from error
    except (BotoCoreError, aiohttp.ClientError, OSError, TimeoutError) as error:
        log.error("artifact_store_failed", error=repr(error))
        raise store_unavailable("it does not answer") from error


def _parse(staging: str) -> tuple[str, str]:
    key, _, upload_id = staging.partition("#")
    return key, upload_id
