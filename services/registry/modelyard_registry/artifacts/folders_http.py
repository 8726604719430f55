"""Operations on folders: make one of uploaded files, list what is in it, download one file of it."""

import asyncio
from typing import Annotated, ClassVar, Self

from fastapi import APIRouter, Depends, Path
from fastapi import Request as HttpRequest
from fastapi.responses import Response
from modelyard_events.values import Digest
from modelyard_runtime.access.permissions import Permission
from modelyard_runtime.http.encoded_paths import decode_path_from
from modelyard_runtime.problems import NotFoundError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from modelyard_registry.api import (
    Answer,
    Caller,
    Project,
    Request,
    Subject,
    carry_out,
    problems,
    requires,
)
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.api.paging import Page, Paging
from modelyard_registry.artifacts.documents import ArtifactDocument
from modelyard_registry.artifacts.download import DOWNLOAD_RESPONSES, Asked, get_record, stream
from modelyard_registry.artifacts.handlers import create_folder
from modelyard_registry.artifacts.http import DigestPath
from modelyard_registry.artifacts.manifest import FILES_MAX, PATH_BYTES_MAX, Manifest, ManifestFile
from modelyard_registry.artifacts.records import find_folder_file, list_folder_files
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

MANIFEST_BYTES_MAX = 4_000_000
"""Ten thousand files with the digests of each; paths of more than two hundred bytes in the mean do not fit."""

FILE_PATH_SEGMENT = 8
"""Where a file's path begins in `/api/v1/projects/{project}/artifacts/{digest}/files/{path}`."""

router = APIRouter(tags=["artifacts"], route_class=BoundedRoute)


class FileNotInFolderError(NotFoundError):
    """The folder has no such file."""

    code = "file-not-in-folder"
    when = "The folder's manifest lists no file of this path."
    fix = "List its files with GET /api/v1/projects/{project}/artifacts/{digest}/files."


class NewManifestFile(Request):
    """One file of a folder that was uploaded before."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=PATH_BYTES_MAX)]
    digest: Digest
    bytes: Annotated[int, Field(ge=0, le=2**62)]


class NewManifest(Request):
    """What a folder consists of, in any order."""

    bytes_max: ClassVar[int] = MANIFEST_BYTES_MAX

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "files": [
                        {"path": "saved_model.pb", "digest": "sha256:" + "9f" * 32, "bytes": 81_920},
                        {"path": "variables/variables.index", "digest": "sha256:" + "a0" * 32, "bytes": 612},
                    ]
                }
            ]
        }
    )

    files: Annotated[list[NewManifestFile], Field(min_length=1, max_length=FILES_MAX)]


class FolderFileDocument(BaseModel):
    """One file of a folder."""

    path: str
    digest: str
    bytes: int

    @classmethod
    def of(cls, file: ManifestFile) -> Self:
        """The document about `file`."""
        return cls(path=file.path, digest=file.digest, bytes=file.size_bytes)


class FolderFilePage(Page[FolderFileDocument]):
    """Some files of a folder, by path."""


def _file_path(
    request: HttpRequest,
    path: Annotated[
        str,
        Path(
            max_length=3 * PATH_BYTES_MAX,
            description="Exactly as in the manifest, percent-encoded: `%25` for a percent sign.",
            examples=["variables/variables.index"],
        ),
    ],
) -> str:
    """The path of a file in its folder. `path` still holds the slashes that were encoded as `%2F`."""
    return decode_path_from(request.scope, segment=FILE_PATH_SEGMENT)


FilePath = Annotated[str, Depends(_file_path)]


@router.post(
    "/artifacts/manifests",
    status_code=201,
    response_model=ArtifactDocument,
    responses={
        **problems(409, 413),
        200: {"model": ArtifactDocument, "description": "The project had this folder already"},
    },
    summary="Make a folder of uploaded files",
    dependencies=[requires(Permission.ARTIFACTS_WRITE)],
)
async def post_manifest(project: Project, body: NewManifest, call: Caller) -> Response:
    """The folder's digest is the SHA-256 of its canonical manifest: `{"files":[{"bytes":…,"digest":…,"path":…},…]}`,
    sorted by path, as RFC 8785 writes it. A version is registered with it as with a file's."""
    files = [ManifestFile(path=file.path, digest=file.digest, size_bytes=file.bytes) for file in body.files]
    # Ten thousand files take a tenth of a second, in which the loop serves others.
    manifest = await asyncio.to_thread(Manifest.of, files)

    async def work(tx: Transaction) -> Answer:
        received = await create_folder(tx, manifest, project=project)
        return Answer(status=201 if received.is_new else 200, body=ArtifactDocument.of(received.artifact))

    subject = Subject(project=project, path=f"artifacts/{manifest.digest}")
    return await carry_out(call, body, work, action=AuditAction.ARTIFACT_UPLOADED, subject=subject)


@router.get(
    "/artifacts/{digest}/files",
    responses=problems(404),
    summary="List a folder's files",
    dependencies=[requires(Permission.ARTIFACTS_READ_PRODUCTION)],
)
async def get_folder_files(
    project: Project,
    digest: DigestPath,
    call: Caller,
    paging: Paging,
) -> FolderFilePage:
    """By path; an artifact that is a file has none."""
    after = paging.after(str)
    await get_record(call, project=project, digest=digest)
    async with call.services.database.reading() as connection:
        found = await list_folder_files(
            connection, project=project, folder=digest, after=after or "", limit=paging.limit
        )
    return paging.page(FolderFilePage, found, of=FolderFileDocument.of, key=lambda each: each.path)


@router.get(
    "/artifacts/{digest}/files/{path:path}",
    response_class=Response,
    responses=DOWNLOAD_RESPONSES,
    summary="Download one file of a folder",
    dependencies=[requires(Permission.ARTIFACTS_READ_PRODUCTION)],
)
async def get_folder_file(
    project: Project,
    digest: DigestPath,
    path: FilePath,
    call: Caller,
    asked: Asked,
) -> Response:
    """The path is looked up in the manifest and leads nowhere else."""
    await get_record(call, project=project, digest=digest)
    async with call.services.database.reading() as connection:
        file = await find_folder_file(connection, project=project, folder=digest, path=path)
    if file is None:
        raise FileNotInFolderError(
            f"The folder {digest} has no file {path[:200]!r}.",
            fix=f"List its files with GET /api/v1/projects/{project}/artifacts/{digest}/files.",
        )
    return await stream(call, asked, digest=file.digest, size_bytes=file.size_bytes)
