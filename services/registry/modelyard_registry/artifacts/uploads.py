"""Uploads by parts: begin, say which parts are there, take one in, complete, abort.

An upload is no change to the project until it is completed; then the artifact is recorded as if it had
come in one piece. The parts stay staged until the record is written, so that "complete" can be repeated.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

from fastapi.responses import Response
from modelyard_runtime.problems import ConflictError, InvalidRequestError, NotFoundError, ProblemError
from pydantic import BaseModel

from modelyard_registry.api import Answer, Call, Subject, carry_out
from modelyard_registry.artifact_stores.ports import (
    ArtifactStore,
    IncomingArtifact,
    PartsMissingError,
    UploadLostError,
    discard_if_possible,
)
from modelyard_registry.artifacts.documents import ArtifactDocument
from modelyard_registry.artifacts.formats import FormatClaim, decide_format, refuse_contradicted
from modelyard_registry.artifacts.handlers import record_file, refuse_other_claim
from modelyard_registry.artifacts.receiving import DigestMismatchError, cut_off, refuse_other_bytes, refuse_too_large
from modelyard_registry.artifacts.records import find_artifact
from modelyard_registry.artifacts.upload_records import (
    Upload,
    count_uploads,
    delete_upload,
    find_upload,
    insert_upload,
)
from modelyard_registry.metrics import ARTIFACT_BYTES
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

MIB = 1024 * 1024
PARTS_MAX = 1_000
PART_BYTES_USUAL = 16 * MIB
OPEN_MAX = 1_000
REPLAYED = "idempotency-replayed"


class UploadNotFoundError(NotFoundError):
    """There is no such upload; it was completed, aborted, or left alone for too long."""

    code = "upload-not-found"
    when = "The project has no unfinished upload of this id: it was completed, aborted or pruned, or never begun."
    fix = "Begin one with POST /api/v1/projects/{project}/artifacts/{digest}/uploads."


class TooManyUploadsError(ConflictError):
    """The project has as many unfinished uploads as it may have."""

    code = "too-many-uploads"
    when = "The project has as many unfinished uploads as the limit allows."
    fix = "Complete or abort some first."


class PartsInvalidError(InvalidRequestError):
    """The artifact cannot be divided into such parts."""

    code = "parts-invalid"
    when = "The sizes, numbers or digests of the parts do not fit the artifact or the store."
    fix = "Leave `part_bytes` out to have it chosen, and send the parts that the upload lists."


class UploadNamed(BaseModel):
    """What is kept for a repeated request. Addresses are not: they open the storage to whoever holds them."""

    upload_id: UUID


async def begin_upload(
    call: Call,
    body: BaseModel,
    *,
    project: str,
    digest: str,
    size_bytes: int,
    part_bytes: int | None,
    part_digests: list[str] | None,
    claim: FormatClaim | None,
) -> Upload:
    """Make room for the parts; the same `Idempotency-Key` again finds the upload that it began.

    Raises ArtifactTooLargeError, PartsInvalidError, FormatOnRecordError or TooManyUploadsError, and
    UploadNotFoundError when the upload that is found has ended.
    """
    store = call.services.artifacts
    refuse_too_large(size_bytes, bytes_max=call.services.artifact_bytes_max)
    part_bytes = decide_part_bytes(store, size_bytes=size_bytes, wanted=part_bytes)
    _refuse_other_count(part_digests, parts=-(-size_bytes // part_bytes))
    staging = await store.begin(with_checksums=part_digests is not None)

    async def insert(tx: Transaction) -> Answer:
        refuse_other_claim(await find_artifact(tx.connection, project=project, digest=digest), claim=claim)
        if await count_uploads(tx.connection, project=project) >= OPEN_MAX:
            raise TooManyUploadsError(f"The project {project} has {OPEN_MAX} unfinished uploads.")
        upload = Upload(
            id=UUID(tx.new_id()),
            project=project,
            digest=digest,
            size_bytes=size_bytes,
            part_bytes=part_bytes,
            part_digests=part_digests,
            claim=claim,
            staging=staging,
            created_at=tx.now,
            created_by=tx.context.actor,
        )
        await insert_upload(tx.connection, upload)
        return Answer(status=201, body=UploadNamed(upload_id=upload.id))

    # Should this process end here, what was staged without a row is cleaned up by its age.
    try:
        subject = Subject(project=project, path=f"artifacts/{digest}")
        begun = await carry_out(call, body, insert, action=AuditAction.ARTIFACT_UPLOAD, subject=subject)
        upload_id = UploadNamed.model_validate_json(bytes(begun.body)).upload_id
        upload = await get_upload(call, upload_id, project=project, digest=digest)
    except ProblemError:
        await discard_if_possible(store, staging)
        raise
    if upload.staging != staging:  # A repeated request: what it staged is of no use.
        await discard_if_possible(store, staging)
    return upload


def _refuse_other_count(part_digests: list[str] | None, *, parts: int) -> None:
    if part_digests is not None and len(part_digests) != parts:
        raise PartsInvalidError(
            f"part_digests has {len(part_digests)} digests for {parts} parts.",
            fix="Give `part_bytes` as well, and the SHA-256 of each part of that size, in order.",
        )


def decide_part_bytes(store: ArtifactStore, *, size_bytes: int, wanted: int | None) -> int:
    """How large each part is but the last: what the caller wants, when the store can take it.

    Raises PartsInvalidError when it cannot, or when there would be more than `PARTS_MAX` parts.
    """
    smallest = -(-size_bytes // PARTS_MAX)
    usual = max(PART_BYTES_USUAL, -(-smallest // MIB) * MIB)
    part_bytes = usual if wanted is None else wanted
    if not max(store.part_bytes_min, smallest) <= part_bytes <= store.part_bytes_max:
        raise PartsInvalidError(
            f"Parts of {part_bytes} bytes do not do for an artifact of {size_bytes} bytes in this store.",
            fix=f"Parts have {max(store.part_bytes_min, smallest)} to {store.part_bytes_max} bytes, and there are"
            f" {PARTS_MAX} at most; leave `part_bytes` out to have it chosen.",
        )
    return part_bytes


async def get_upload(call: Call, upload_id: UUID, *, project: str, digest: str) -> Upload:
    """The upload, when it is one of this artifact to this project. Raises UploadNotFoundError."""
    async with call.services.database.reading() as connection:
        upload = await find_upload(connection, upload_id, project=project, digest=digest)
    if upload is None:
        raise UploadNotFoundError(
            f"The project {project} has no unfinished upload {upload_id} of {digest}.",
            fix=f"Begin one with POST /api/v1/projects/{project}/artifacts/{digest}/uploads.",
        )
    return upload


async def take_part(call: Call, upload: Upload, *, number: int, chunks: AsyncIterator[bytes]) -> None:
    """Stage a part that came through the registry, when it is the one that was announced."""
    sizes = upload.sizes
    if not 1 <= number <= len(sizes):
        raise PartsInvalidError(f"The upload has no part {number}.", fix=f"Its parts are 1 to {len(sizes)}.")
    expected = upload.part_digests[number - 1] if upload.part_digests else None
    checked = _checked(chunks, size_bytes=sizes[number - 1], digest=expected)
    await call.services.artifacts.write_part(upload.staging, number=number, chunks=checked)


async def complete_upload(call: Call, upload_id: UUID, *, project: str, digest: str) -> Response:
    """Make the parts an artifact of the project; the same again answers the artifact.

    Raises PartsMissingError, and DigestMismatchError or FormatContradictedError, which end the upload.
    """
    try:
        upload = await get_upload(call, upload_id, project=project, digest=digest)
    except UploadNotFoundError as ended:
        return await _answer_completed(call, ended, project=project, digest=digest)
    try:
        async with call.services.artifacts.assembled(upload.staging, sizes=upload.sizes) as incoming:
            response = await _keep(call, upload, incoming)
    except InvalidRequestError:
        await _forget(call, upload)
        raise
    except (UploadLostError, PartsMissingError) as lost:
        if await _is_open(call, upload):
            raise
        # Another request completed it while this one was reading.
        return await _answer_completed(call, lost, project=project, digest=digest)
    await discard_if_possible(call.services.artifacts, upload.staging)
    if response.status_code == 201 and REPLAYED not in response.headers:
        ARTIFACT_BYTES.inc(upload.size_bytes)
    return response


async def _keep(call: Call, upload: Upload, incoming: IncomingArtifact) -> Response:
    refuse_other_bytes(incoming, digest=upload.digest, size_bytes=upload.size_bytes)
    refuse_contradicted(incoming.head, claim=upload.claim)
    await incoming.keep()
    inspection = await call.services.inspector.inspect_file(
        call.services.artifacts, incoming.digest, size_bytes=incoming.size_bytes
    )
    kind = decide_format(inspection.format, claim=upload.claim)

    async def record(tx: Transaction) -> Answer:
        received = await record_file(
            tx,
            project=upload.project,
            digest=upload.digest,
            size_bytes=upload.size_bytes,
            format_name=kind,
            inspection=inspection,
            claim=upload.claim,
        )
        await delete_upload(tx.connection, upload.id)
        return Answer(status=201 if received.is_new else 200, body=ArtifactDocument.of(received.artifact))

    return await _once(call, record, project=upload.project, digest=upload.digest)


async def _answer_completed(call: Call, ended: ProblemError, *, project: str, digest: str) -> Response:
    """What a completion answers when there is no upload any more: the artifact, or `ended` when there is none."""

    async def find(tx: Transaction) -> Answer:
        artifact = await find_artifact(tx.connection, project=project, digest=digest)
        if artifact is None:
            raise ended
        return Answer(status=200, body=ArtifactDocument.of(artifact))

    return await _once(call, find, project=project, digest=digest)


async def abort_upload(call: Call, upload_id: UUID, *, project: str, digest: str) -> Response:
    """Remove the parts, and forget the upload. Raises UploadNotFoundError, but not for a repeated request."""
    ended: UploadNotFoundError | None = None
    try:
        upload = await get_upload(call, upload_id, project=project, digest=digest)
        await call.services.artifacts.discard(upload.staging)
    except UploadNotFoundError as error:
        ended = error

    async def forget(tx: Transaction) -> Answer:
        if ended is not None:
            raise ended
        await delete_upload(tx.connection, upload_id)
        return Answer(status=204, body=UploadNamed(upload_id=upload_id))

    response = await _once(call, forget, project=project, digest=digest)
    return Response(status_code=204, headers={REPLAYED: "true"} if REPLAYED in response.headers else None)


async def _once(call: Call, work: Callable[[Transaction], Awaitable[Answer]], *, project: str, digest: str) -> Response:
    subject = Subject(project=project, path=f"artifacts/{digest}")
    return await carry_out(call, None, work, action=AuditAction.ARTIFACT_UPLOAD, subject=subject)


async def _is_open(call: Call, upload: Upload) -> bool:
    async with call.services.database.reading() as connection:
        return await find_upload(connection, upload.id, project=upload.project, digest=upload.digest) is not None


async def _forget(call: Call, upload: Upload) -> None:
    await discard_if_possible(call.services.artifacts, upload.staging)
    async with call.services.unit_of_work(call.context) as tx:
        await delete_upload(tx.connection, upload.id)


async def _checked(chunks: AsyncIterator[bytes], *, size_bytes: int, digest: str | None) -> AsyncIterator[bytes]:
    """The chunks of a part; raises before the end unless they are what was announced."""
    hasher = hashlib.sha256()
    received_bytes = 0
    async for chunk in chunks:
        received_bytes += len(chunk)
        if received_bytes > size_bytes:
            raise PartsInvalidError(
                f"The part has more than {size_bytes} bytes.", fix="Send the bytes of this part and no others."
            )
        hasher.update(chunk)
        yield chunk
    if received_bytes != size_bytes:
        raise cut_off()
    if digest is not None and hasher.hexdigest() != digest:
        raise DigestMismatchError(
            f"The part has the SHA-256 {hasher.hexdigest()}, and {digest} was announced.",
            fix="Send the part again, unchanged.",
        )
