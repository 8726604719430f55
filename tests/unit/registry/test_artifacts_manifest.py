"""A folder is known by the digest of its manifest, and a manifest can describe nothing but a plain folder."""

import hashlib
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_registry.artifacts.manifest import (
    EMPTY_DIGEST,
    FILES_MAX,
    Manifest,
    ManifestFile,
    ManifestInvalidError,
    missing_from,
)


def a_file(path: str, content: bytes = b"x") -> ManifestFile:
    return ManifestFile(path=path, digest=f"sha256:{hashlib.sha256(content).hexdigest()}", size_bytes=len(content))


def test_the_digest_is_that_of_the_canonical_json() -> None:
    digest = a_file("a").digest

    manifest = Manifest.of([a_file("b/ü"), a_file("a")])

    expected = (
        f'{{"files":[{{"bytes":1,"digest":"{digest}","path":"a"}},{{"bytes":1,"digest":"{digest}","path":"b/ü"}}]}}'
    )
    assert manifest.content == expected.encode()
    assert manifest.digest == f"sha256:{hashlib.sha256(expected.encode()).hexdigest()}"
    assert manifest.size_bytes == 2


def test_the_order_in_which_files_are_listed_changes_nothing() -> None:
    files = [a_file("a/b"), a_file("a.b"), a_file("B"), a_file("é", b"y")]

    digests = {Manifest.of(list(order)).digest for order in itertools.permutations(files)}

    assert len(digests) == 1


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../up", "a/../b", "a/./b", ".", "..", "a//b", "a/", "a\\b", "..\\up", "C:/windows", "c:x",
        "nul\x00", "line\nbreak", "e\u0301", "half\ud800", "x" * 256, "x/" * 600 + "x", "\x7f",
    ],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ManifestInvalidError):
        Manifest.of([a_file(path)])


@pytest.mark.parametrize("path", ["a", "variables/variables.index", "..a", "a..b/c", "dir with spaces/é", ".hidden"])
def test_a_plain_path_is_taken_as_it_is(path: str) -> None:
    assert json.loads(Manifest.of([a_file(path)]).content)["files"][0]["path"] == path


@pytest.mark.parametrize(
    "files",
    [
        [],
        [a_file("a")] * 2,
        [a_file("a"), a_file("a/b")],
        [a_file("a"), a_file("a.b"), a_file("a/b/c")],
        [ManifestFile(path="a", digest=EMPTY_DIGEST, size_bytes=1)],
        [ManifestFile(path="a", digest="sha256:" + "0" * 64, size_bytes=0)],
        [a_file(str(number)) for number in range(FILES_MAX + 1)],
    ],
    ids=["none", "twice", "file-and-folder", "file-and-folder-apart", "not-empty", "empty", "too-many"],
)
def test_what_is_no_folder_is_refused(files: list[ManifestFile]) -> None:
    with pytest.raises(ManifestInvalidError):
        Manifest.of(files)


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=3)), max_size=5))
def test_whatever_is_accepted_can_be_unpacked_inside_a_directory(listed: list[tuple[str, bytes]]) -> None:
    try:
        manifest = Manifest.of([a_file(path, content) for path, content in listed])
    except ManifestInvalidError:
        return
    for file in manifest.files:
        parts = file.path.split("/")
        assert all(part not in ("", ".", "..") and "\\" not in part and "\0" not in part for part in parts)


def test_files_that_were_not_uploaded_or_have_another_size_are_missing() -> None:
    there, other_size, absent = a_file("a", b"a"), a_file("b", b"bb"), a_file("c", b"c")
    empty = a_file("d", b"")
    manifest = Manifest.of([there, other_size, absent, empty])

    missing = missing_from(manifest, uploaded={(there.digest, 1), (other_size.digest, 3)})

    assert missing == (other_size, absent)
