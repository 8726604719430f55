"""Folders over HTTP: made of uploaded files, registered as versions, downloaded file by file."""

import hashlib
import json
from urllib.parse import quote

import pytest

from tests.integration.registry.door import Document, Door, digest_of, versions
from tests.unit.registry.artifact_samples import a_saved_model

pytestmark = pytest.mark.integration

FILES = {
    "saved_model.pb": a_saved_model(),
    "variables/variables.index": b"index",
    "assets/empty.txt": b"",
    "custom/layer.pkl": b"\x80\x04K\x01.",
}


def listed(files: dict[str, bytes]) -> Document:
    return {
        "files": [
            {"path": path, "digest": digest_of(content), "bytes": len(content)} for path, content in files.items()
        ]
    }


async def a_folder(door: Door, files: dict[str, bytes] = FILES) -> Document:
    for content in filter(None, files.values()):
        await door.upload(content)
    folder: Document = (await door.call("POST", "/artifacts/manifests", listed(files))).expect(200, 201)
    return folder


async def test_a_folder_is_made_of_uploaded_files_and_downloaded_file_by_file(door: Door) -> None:
    folder = await a_folder(door)

    path = f"/artifacts/{folder['digest']}"
    manifest = await door.call("GET", path)
    assert folder["digest"] == f"sha256:{hashlib.sha256(manifest.body).hexdigest()}"
    assert (folder["kind"], folder["format"], folder["pickle"]) == ("folder", "saved-model", True)
    assert folder["artifact_bytes"] == sum(map(len, FILES.values()))
    assert [file["path"] for file in json.loads(manifest.body)["files"]] == sorted(FILES)
    for name, content in FILES.items():
        assert (await door.call("GET", f"{path}/files/{name}")).body == content
        encoded = name.replace("/", "%2F")
        assert (await door.call("GET", f"{path}/files/{encoded}")).body == content
    assert (await door.audit())[-1]["digest"] == folder["digest"]


async def test_names_with_percent_signs_are_told_from_names_with_slashes(door: Door) -> None:
    names = ["a/b", "a%2Fb", "a%252Fb", "a%2fb", "100%", "a?b", "a#b", "ü ü"]
    folder = await a_folder(door, {name: name.encode() for name in names})

    for name in names:
        path = f"/artifacts/{folder['digest']}/files/{quote(name, safe='')}"
        assert (await door.call("GET", path)).body == name.encode()


async def test_a_folders_files_are_listed_by_path_in_pages(door: Door) -> None:
    folder = await a_folder(door)
    path = f"/artifacts/{folder['digest']}/files"

    first = (await door.call("GET", path, query={"page_size": "3"})).expect(200)
    rest = (await door.call("GET", path, query={"page_size": "3", "page_token": first["next_page_token"]})).expect(200)

    assert [item["path"] for item in first["items"] + rest["items"]] == sorted(FILES)
    assert rest["next_page_token"] is None


async def test_a_folder_is_a_version_like_any_artifact(door: Door) -> None:
    await door.create()
    folder = await a_folder(door)

    version = await door.register(digest=folder["digest"])

    manifest = (await door.call("GET", f"{versions()}/1/artifact")).body
    assert (version["digest"], version["format"]) == (folder["digest"], "saved-model")
    assert version["artifact_bytes"] == folder["artifact_bytes"]
    assert digest_of(manifest) == folder["digest"]


async def test_the_same_folder_again_changes_nothing(door: Door) -> None:
    folder = await a_folder(door)
    marks = await door.marks()

    again = await door.call("POST", "/artifacts/manifests", listed(dict(reversed(FILES.items()))))

    assert (again.status, again.document) == (200, folder)
    assert await door.marks() == marks


async def test_a_folder_needs_all_its_files_in_its_own_project(door: Door) -> None:
    await a_folder(door)
    elsewhere = await door.beside()
    await elsewhere.upload(FILES["saved_model.pb"])

    refused = await elsewhere.call("POST", "/artifacts/manifests", listed(FILES))

    assert (refused.status, refused.document["type"]) == (409, "/problems/files-not-uploaded")
    assert refused.document["missing"] == ["custom/layer.pkl", "variables/variables.index"]
    assert await elsewhere.actions() == ["artifact.uploaded", "artifact.uploaded.refused"]


async def test_a_folder_and_its_files_are_unreadable_from_another_project(door: Door) -> None:
    folder = await a_folder(door)
    elsewhere = await door.beside()

    for path in ("", "/files", "/files/saved_model.pb"):
        assert (await elsewhere.call("GET", f"/artifacts/{folder['digest']}{path}")).status == 404


@pytest.mark.parametrize(
    "file",
    [
        {"path": "../up", "digest": digest_of(b"x"), "bytes": 1},
        {"path": "a", "digest": digest_of(b"x"), "bytes": 0},
        {"path": "a", "digest": "sha256:x", "bytes": 1},
        {"path": "a", "digest": digest_of(b"x"), "bytes": 1, "symlink": "/etc/passwd"},
        {"path": "half \ud800", "digest": digest_of(b"x"), "bytes": 1},
    ],
)
async def test_a_manifest_that_describes_no_plain_folder_is_refused(door: Door, file: Document) -> None:
    await door.upload(b"x")
    marks = await door.marks()

    refused = await door.call("POST", "/artifacts/manifests", {"files": [file]})

    assert refused.status == 422
    assert await door.marks() == marks


@pytest.mark.parametrize("path", ["nothing", "..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "a%00b", "saved_model.pb%2f"])
async def test_no_path_leads_out_of_a_folder(door: Door, path: str) -> None:
    folder = await a_folder(door)

    reply = await door.call("GET", f"/artifacts/{folder['digest']}/files/{path}")

    assert reply.status in (404, 422)


async def test_a_manifest_that_was_uploaded_as_a_file_is_not_mistaken_for_a_folder(door: Door) -> None:
    folder = await a_folder(door)
    manifest = (await door.call("GET", f"/artifacts/{folder['digest']}")).body
    elsewhere = await door.beside()
    for content in (manifest, *filter(None, FILES.values())):
        await elsewhere.upload(content)

    refused = await elsewhere.call("POST", "/artifacts/manifests", listed(FILES))

    assert (refused.status, refused.document["type"]) == (409, "/problems/digest-taken")


async def test_further_artifacts_belong_to_a_version_for_good(door: Door) -> None:
    await door.create()
    await door.register()
    folder, report = await a_folder(door), await door.upload(b"# Report")
    path = f"{versions()}/1/artifacts"

    attached = (await door.call("PUT", f"{path}/report", {"digest": report})).expect(201)
    (await door.call("PUT", f"{path}/export", {"digest": folder["digest"]})).expect(201)
    again = await door.call("PUT", f"{path}/report", {"digest": report})
    other = await door.call("PUT", f"{path}/report", {"digest": folder["digest"]})

    items = (await door.call("GET", path)).expect(200)["items"]
    assert (again.status, again.document) == (200, attached)
    assert (other.status, other.document["type"]) == (409, "/problems/attachment-exists")
    assert [(item["name"], item["kind"]) for item in items] == [("export", "folder"), ("report", "file")]
    assert (await door.call("GET", f"{path}/report")).body == b"# Report"
    assert (await door.types_of_facts())[-2:] == ["model_version.artifact_attached"] * 2


async def test_only_what_the_project_has_can_be_attached(door: Door) -> None:
    await door.create()
    await door.register()
    elsewhere = await door.beside()
    foreign = await elsewhere.upload(b"of another project")

    refused = await door.call("PUT", f"{versions()}/1/artifacts/report", {"digest": foreign})
    absent = await door.call("GET", f"{versions()}/1/artifacts/report")

    assert (refused.status, refused.document["type"]) == (409, "/problems/artifact-not-uploaded")
    assert (absent.status, absent.document["type"]) == (404, "/problems/attachment-not-found")
