"""Folders as artifacts: a manifest lists each file with its digest, and its own SHA-256 is the folder's digest.

The manifest is JSON in canonical form (RFC 8785), so that everyone who has the files can compute the
same bytes: keys sorted, no spaces, files in the order of their paths' code points.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from modelyard_runtime.problems import InvalidRequestError

from modelyard_registry.artifact_inspection.findings import Finding, Inspection
from modelyard_registry.artifact_inspection.folders import decide_together, judged_by_name

FILES_MAX = 10_000
PATH_BYTES_MAX = 1_024
SEGMENT_BYTES_MAX = 255
EMPTY_DIGEST = f"sha256:{hashlib.sha256(b'').hexdigest()}"
"""The digest of a file without bytes. It needs no upload: there is nothing to send."""

_DRIVE = re.compile(r"[A-Za-z]:")


class ManifestInvalidError(InvalidRequestError):
    """The manifest does not describe a folder."""

    code = "manifest-invalid"
    when = "A path, size or digest in the manifest is malformed, or two entries contradict each other."
    fix = "Correct the entry that `detail` names."


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


def inspect_folder(manifest: Manifest, files: Mapping[str, Inspection | None]) -> Inspection:
    """What the folder is, and which of its files can run code, given what is known of each file by its digest.

    A TensorFlow SavedModel is known by its graph at the top. Otherwise the format is the one that its files have,
    apart from data that accompanies a model; `folder` when there is no such.
    """
    parts = {file.path: judged_by_name(file.path, _known(files.get(file.digest), file)) for file in manifest.files}
    _, inspection = decide_together(parts)
    return inspection


def _known(inspection: Inspection | None, file: ManifestFile) -> Inspection:
    if inspection is not None:
        return inspection
    if file.digest == EMPTY_DIGEST:
        return Inspection(format="empty", formats=frozenset({"empty"}))
    finding = Finding.of("", "It was uploaded before files were looked at: upload it again.", is_pickle=True)
    return Inspection(format="unknown", formats=frozenset({"unknown"}), findings=(finding,))


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
    # Ordered part by part, what lies in a file that is a folder, too, comes right after it. No path holds NUL.
    for one, other in pairwise(sorted(ordered, key=lambda file: file.path.replace("/", "\0"))):
        if other.path.startswith(f"{one.path}/"):
            raise ManifestInvalidError(
                f"{one.path[:200]!r} is a file, and {other.path[:200]!r} lies in it.",
                fix="A path is a file or a folder, not both.",
            )
