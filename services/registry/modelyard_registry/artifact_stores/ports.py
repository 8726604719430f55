"""What the registry asks of a place that keeps artifacts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog
from modelyard_runtime.problems import ConflictError, NotFoundError, ProblemError, UnavailableError

HEAD_BYTES = 4_096
"""How much of an artifact's beginning is kept in hand while it comes in, to tell its format."""


log = structlog.get_logger()


class ArtifactTooLargeError(ProblemError):
    """The artifact is larger than this registry accepts."""

    code = "artifact-too-large"
    status = 413
    when = "The artifact has more bytes than MODELYARD_ARTIFACT_BYTES_MAX."
    fix = "Upload a smaller one, or ask the operators to raise MODELYARD_ARTIFACT_BYTES_MAX."


class ArtifactMissingError(NotFoundError):
    """The store does not hold this artifact's bytes."""

    code = "artifact-missing"
    when = "The artifact is on record, but its bytes are gone from the store."
    fix = "Upload the artifact again."


class ArtifactDamagedError(ProblemError):
    """The stored bytes are not those that their digest proves."""

    code = "artifact-damaged"
    when = "The stored bytes do not have the artifact's digest."
    fix = "Upload the artifact again: the same bytes mend the stored ones."


class ArtifactStoreUnavailableError(UnavailableError):
    """The place that keeps the artifacts cannot be written or read at the moment."""

    code = "artifact-store-unavailable"
    when = "The disk or object store that keeps the artifacts failed."
    fix = "Try again later; tell the operators when it happens again."


class PartsMissingError(ConflictError):
    """Parts of the upload have not come, or not whole."""

    code = "parts-missing"
    when = "The upload is to be completed, but parts are missing or incomplete."
    fix = "GET the upload to see which parts are there, PUT the others, then complete it."


class UploadLostError(NotFoundError):
    """The store holds nothing of this upload any more."""

    code = "upload-lost"
    when = "The object store has dropped the unfinished upload."
    fix = "Begin another upload."


@dataclass(frozen=True, slots=True, kw_only=True)
class PartTarget:
    """Where a part is PUT straight into the storage. Exactly these `headers` must be sent with it."""

    url: str
    headers: Mapping[str, str]


class IncomingArtifact(Protocol):
    """An artifact that was received whole, but is not kept yet."""

    @property
    def digest(self) -> str:
        """`sha256:` and the hexadecimal digest of what came in."""
        ...

    @property
    def size_bytes(self) -> int:
        """How many bytes came in."""
        ...

    @property
    def head(self) -> bytes:
        """The first `HEAD_BYTES` of it."""
        ...

    async def keep(self) -> None:
        """Keep it under its digest, durably; what is there already is replaced by equal bytes."""
        ...


class StagedUploads(Protocol):
    """Takes artifacts in by numbered parts (from 1), over as many requests and as long as it takes.

    Parts are staged apart from the artifacts: nobody can read them, and what is never completed is never
    an artifact. Every method raises ArtifactStoreUnavailableError when the storage fails.
    """

    part_bytes_min: int
    """No part but the last may be smaller."""
    part_bytes_max: int

    async def begin(self, *, with_checksums: bool) -> str:
        """Room for the parts of one upload; answers the name of that room.

        `with_checksums`: the SHA-256 of each part will be given to `part_target`.
        """
        ...

    async def part_target(self, staging: str, *, number: int, checksum: bytes | None) -> PartTarget | None:
        """Where the caller PUTs this part; None when it has to come through `write_part`."""
        ...

    async def write_part(self, staging: str, *, number: int, chunks: AsyncIterator[bytes]) -> None:
        """Stage a part that came through the registry; nothing of it stays when `chunks` raises."""
        ...

    async def list_parts(self, staging: str) -> Mapping[int, int]:
        """The sizes in bytes of the parts that are staged, by number. Raises UploadLostError."""
        ...

    def assembled(self, staging: str, *, sizes: Sequence[int]) -> AbstractAsyncContextManager[IncomingArtifact]:
        """The parts, whose `sizes` must be these, as one artifact, proved by reading all of it.

        The parts stay until `discard`, so that a process that is killed can do it again. Raises
        PartsMissingError or UploadLostError.
        """
        ...

    async def discard(self, staging: str) -> None:
        """Remove whatever is left of the upload; does nothing when nothing is."""
        ...

    async def discard_stale(self, *, before: datetime) -> int:
        """Remove what was staged before a moment, whoever began it; answers how many uploads those were."""
        ...


class ArtifactStore(StagedUploads, Protocol):
    """Keeps artifacts under their SHA-256, immutably."""

    def receive(self, chunks: AsyncIterator[bytes], *, bytes_max: int) -> AbstractAsyncContextManager[IncomingArtifact]:
        """Take in `chunks`; what is not kept inside the block leaves nothing behind.

        Raises ArtifactTooLargeError once more than `bytes_max` bytes came, and whatever `chunks` raises.
        """
        ...

    def read(self, digest: str) -> AsyncIterator[bytes]:
        """The bytes under `digest`, checked while they are read.

        The last chunk is given out only when all of it was proved, so a reader never gets the whole of
        something wrong. Raises ArtifactMissingError before the first chunk and ArtifactDamagedError
        before the last.
        """
        ...

    def read_range(self, digest: str, *, first: int, last: int) -> AsyncIterator[bytes]:
        """The bytes from `first` to `last`, both counted from 0 and included, as they are stored.

        They are not checked: only whoever has the whole can compare the digest. What is stored may end before
        `last` when it is damaged. Raises ArtifactMissingError before the first chunk.
        """
        ...


async def discard_if_possible(store: StagedUploads, staging: str) -> None:
    """Discard what was staged when nothing depends on it any more: what a failing storage keeps is removed by age."""
    try:
        await store.discard(staging)
    except ArtifactStoreUnavailableError as error:
        log.warning("upload_not_discarded", staging=staging.partition("#")[0], error=str(error))


def refuse_missing_parts(found: Mapping[int, int], *, sizes: Sequence[int]) -> None:
    """Raise PartsMissingError unless exactly the parts 1, 2, 3 … of these sizes are there."""
    wanted = dict(enumerate(sizes, start=1))
    if dict(found) == wanted:
        return
    missing = [number for number, size_bytes in wanted.items() if found.get(number) != size_bytes]
    missing += sorted(found.keys() - wanted.keys())
    raise PartsMissingError(
        f"{len(missing)} of {len(sizes)} parts have not come whole; the first is part {missing[0]}.",
        missing=missing[:1_000],
    )


def artifact_missing(digest: str) -> ArtifactMissingError:
    """The problem of bytes that are not in the store."""
    return ArtifactMissingError(f"The bytes of {digest} are not in the store.")


def upload_lost() -> UploadLostError:
    """The problem of an upload of which nothing is left."""
    return UploadLostError("The store holds nothing of this upload any more.")


def store_unavailable(detail: str) -> ArtifactStoreUnavailableError:
    """The problem of a storage that fails; `detail` says how, for people."""
    return ArtifactStoreUnavailableError(f"The storage that keeps the artifacts failed: {detail}.")


def artifact_too_large(bytes_max: int) -> ArtifactTooLargeError:
    """The problem of bytes that do not end in time."""
    return ArtifactTooLargeError(f"The artifact has more than {bytes_max} bytes.")
