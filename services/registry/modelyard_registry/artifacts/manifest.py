"""Folders as artifacts: a manifest lists each file with its digest, and its own SHA-256 is the folder's digest.

The manifest is JSON in canonical form (RFC 8785), so that everyone who has the files can compute the
same bytes: keys sorted, no spaces, files in the order of their paths' code points.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from modelyard_runtime.problems import InvalidRequestError

FILES_MAX = 10_000
PATH_BYTES_MAX = 1_024
SEGMENT_BYTES_MAX = 255
EMPTY_DIGEST = f"sha256:{hashlib.sha256(b'').hexdigest()}"
"""The digest of a file without bytes. It needs no upload: there is nothing to send."""

SAVED_MODEL = "saved-model"
MIXED = "folder"
_SAVED_MODEL_FILES = frozenset({"saved_model.pb", "saved_model.pbtxt"})
_DRIVE = re.compile(r"[A-Za-z]:")


class ManifestInvalidError(InvalidRequestError):
    """The manifest does not describe a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """One regular file of a folder. There is no way to say that a file is a link."""

    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The files of a folder, in the order of their paths."""

    files: tuple[ManifestFile, ...]

    @classmethod
    def of(cls, files: Sequence[ManifestFile]) -> Self:
        """The manifest of these files, whatever their order. Raises ManifestInvalidError."""
        if not 0 < len(files) <= FILES_MAX:
            raise ManifestInvalidError(
                f"The manifest has {len(files)} files.", fix=f"A folder has 1 to {FILES_MAX} files; pack more into one."
            )
        for file in files:
            _refuse_unsafe(file.path)
            if (file.size_bytes == 0) != (file.digest == EMPTY_DIGEST):
                raise ManifestInvalidError(
                    f"{file.path!r}: {file.size_bytes} bytes cannot have the digest {file.digest}.",
                    fix=f"A file without bytes, and no other, has the digest {EMPTY_DIGEST}.",
                )
        ordered = tuple(sorted(files, key=lambda file: file.path))
        _refuse_two_things_at_one_path(ordered)
        return cls(files=ordered)

    @property
    def content(self) -> bytes:
        """The canonical JSON."""
        files = [{"bytes": file.size_bytes, "digest": file.digest, "path": file.path} for file in self.files]
        return json.dumps({"files": files}, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()

    @property
    def digest(self) -> str:
        """What the folder is known by."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def size_bytes(self) -> int:
        """The bytes of all files together."""
        return sum(file.size_bytes for file in self.files)


def decide_folder_format(manifest: Manifest, *, formats: dict[str, str]) -> str:
    """The format of a folder, given the format of each file by its digest.

    A TensorFlow SavedModel is known by its file names. Otherwise it is the one format that its files
    have, apart from those of no known format and from settings in JSON; `folder` when there is no such.
    """
    if any(file.path in _SAVED_MODEL_FILES for file in manifest.files):
        return SAVED_MODEL
    found = {
        formats[file.digest]
        for file in manifest.files
        if file.digest in formats and not file.path.endswith(".json") and formats[file.digest] != "unknown"
    }
    return found.pop() if len(found) == 1 else MIXED


def missing_from(manifest: Manifest, *, uploaded: Collection[tuple[str, int]]) -> tuple[ManifestFile, ...]:
    """The files that are not among `uploaded`, pairs of digest and size in bytes."""
    return tuple(
        file
        for file in manifest.files
        if file.digest != EMPTY_DIGEST and (file.digest, file.size_bytes) not in uploaded
    )


def _refuse_unsafe(path: str) -> None:
    why = _why_unsafe(path)
    if why is not None:
        raise ManifestInvalidError(
            f"The path {path[:200]!r} {why}.",
            fix="Give each file's path relative to the folder, its parts divided by `/`, as in `variables/index`.",
        )


def _why_unsafe(path: str) -> str | None:
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "has half a surrogate pair"
    if len(encoded) > PATH_BYTES_MAX:
        return f"has more than {PATH_BYTES_MAX} bytes"
    if "\\" in path or any(unicodedata.category(letter) == "Cc" for letter in path):
        return "has a backslash or a control character"
    if unicodedata.normalize("NFC", path) != path:
        return "is not in Unicode's normal form C, so that the same name could be spelled in two ways"
    segments = path.split("/")
    if _DRIVE.match(path) or any(segment in ("", ".", "..") for segment in segments):
        return "is absolute, or has an empty part, `.` or `..`"
    if any(len(segment.encode()) > SEGMENT_BYTES_MAX for segment in segments):
        return f"has a part of more than {SEGMENT_BYTES_MAX} bytes"
    return None


def _refuse_two_things_at_one_path(ordered: Sequence[ManifestFile]) -> None:
    for one, other in pairwise(ordered):
        if one.path == other.path:
            raise ManifestInvalidError(f"The path {one.path!r} is there twice.", fix="List each file once.")
    files = {file.path for file in ordered}
    for file in ordered:
        parts = file.path.split("/")
        for length in range(1, len(parts)):
            if "/".join(parts[:length]) in files:
                raise ManifestInvalidError(
                    f"{'/'.join(parts[:length])!r} is a file, and {file.path!r} lies in it.",
                    fix="A path is a file or a folder, not both.",
                )
