"""Uploads by parts through the registry: resumed, proved, aborted, and cleaned up when they are left alone."""

import asyncio
from datetime import timedelta
from hashlib import sha256

import pytest
from modelyard_registry.artifact_stores.disk import DiskArtifactStore
from modelyard_registry.artifacts.cleaning import UploadCleaning
from modelyard_runtime.clock import utc_now
from modelyard_runtime.ids import new_uuid7

from tests.integration.registry.door import ARTIFACT_BYTES_MAX, Document, Door, digest_of

pytestmark = pytest.mark.integration

PART = 64 * 1024


def content_of(door: Door) -> bytes:
    return door.project.encode() * (2 * PART // len(door.project)) + b"and a rest"


def parts_of(content: bytes) -> list[bytes]:
    return [content[start : start + PART] for start in range(0, len(content), PART)]


async def begin(door: Door, content: bytes, **facts: object) -> Document:
    document = {"bytes": len(content), "part_bytes": PART, **facts}
    begun: Document = (await door.call("POST", f"/artifacts/{digest_of(content)}/uploads", document)).expect(201)
    return begun


def path_of(begun: Document) -> str:
    return f"/artifacts/{begun['digest']}/uploads/{begun['upload_id']}"


async def send(door: Door, begun: Document, number: int, content: bytes) -> int:
    url = begun["parts"][number - 1]["url"] or f"/api/v1/projects/{door.project}{path_of(begun)}/parts/{number}"
    return (await door.http.call("PUT", url, data=content)).status


async def test_parts_become_an_artifact_that_is_read_back(door: Door) -> None:
    content = content_of(door)
    begun = await begin(door, content)

    statuses = [await send(door, begun, number, part) for number, part in enumerate(parts_of(content), start=1)]
    completed = (await door.call("POST", f"{path_of(begun)}/complete")).expect(201)
    again = await door.call("POST", f"{path_of(begun)}/complete")

    assert statuses == [204] * len(begun["parts"])
    assert (begun["through"], completed["artifact_bytes"]) == ("registry", len(content))
    assert (again.status, again.document) == (200, completed)
    assert (await door.call("GET", f"/artifacts/{begun['digest']}")).body == content
    assert await door.actions() == ["artifact.uploaded"]


async def test_an_upload_that_was_cut_off_goes_on_with_what_is_missing(door: Door) -> None:
    content = content_of(door)
    begun = await begin(door, content)
    first, second, *_ = parts_of(content)
    await send(door, begun, 1, first)
    cut_off = await send(door, begun, 2, second[: PART // 2])

    resumed = (await door.call("GET", path_of(begun))).expect(200)
    early = await door.call("POST", f"{path_of(begun)}/complete")
    for part in resumed["parts"]:
        if not part["received"]:
            assert await send(door, resumed, part["number"], parts_of(content)[part["number"] - 1]) == 204

    assert cut_off == 400
    assert [part["received"] for part in resumed["parts"]][:2] == [True, False]
    assert (early.status, early.document["type"]) == (409, "/problems/parts-missing")
    (await door.call("POST", f"{path_of(begun)}/complete")).expect(201)


async def test_bytes_with_another_digest_are_refused_and_the_upload_is_over(door: Door) -> None:
    content = content_of(door)
    begun = await begin(door, content)
    for number, part in enumerate(parts_of(content), start=1):
        await send(door, begun, number, part if number > 1 else part[:-1] + b"?")

    refused = await door.call("POST", f"{path_of(begun)}/complete")

    assert (refused.status, refused.document["type"]) == (422, "/problems/digest-mismatch")
    assert (await door.call("GET", path_of(begun))).status == 404
    assert (await door.call("GET", f"/artifacts/{begun['digest']}")).status == 404
    assert await door.marks() == (0, 0)


async def test_a_part_with_another_digest_than_announced_is_refused_at_once(door: Door) -> None:
    content = content_of(door)
    parts = parts_of(content)
    begun = await begin(door, content, part_digests=[sha256(part).hexdigest() for part in parts])

    wrong = await send(door, begun, 1, parts[0][:-1] + b"?")
    right = await send(door, begun, 1, parts[0])

    assert (wrong, right) == (422, 204)


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"bytes": 0}, 422),
        ({"bytes": ARTIFACT_BYTES_MAX + 1}, 413),
        ({"bytes": 10, "part_bytes": 1}, 422),
        ({"bytes": 3 * PART, "part_bytes": PART, "part_digests": ["0" * 64]}, 422),
        ({"bytes": 10, "part_digests": ["x"]}, 422),
        ({"bytes": 10, "format": "exe"}, 422),
    ],
)
async def test_an_upload_that_cannot_be_is_refused(door: Door, document: Document, status: int) -> None:
    refused = await door.call("POST", f"/artifacts/{digest_of(b'x')}/uploads", document)

    assert refused.status == status


@pytest.mark.parametrize("number", [0, 4, 1001, -1])
async def test_a_part_that_the_upload_does_not_have_is_refused(door: Door, number: int) -> None:
    content = content_of(door)
    begun = await begin(door, content)

    refused = await door.call("PUT", f"{path_of(begun)}/parts/{number}", data=b"x")

    assert refused.status == 422


async def test_an_aborted_upload_leaves_nothing(door: Door) -> None:
    content = content_of(door)
    begun = await begin(door, content)
    await send(door, begun, 1, parts_of(content)[0])

    aborted = await door.call("DELETE", path_of(begun))

    assert aborted.status == 204
    assert (await door.call("POST", f"{path_of(begun)}/complete")).status == 404
    assert await door.marks() == (0, 0)


async def test_an_upload_belongs_to_its_project(door: Door) -> None:
    content = content_of(door)
    begun = await begin(door, content)
    elsewhere = await door.beside()

    answers = [
        await elsewhere.call("GET", path_of(begun)),
        await elsewhere.call("PUT", f"{path_of(begun)}/parts/1", data=parts_of(content)[0]),
        await elsewhere.call("POST", f"{path_of(begun)}/complete"),
        await elsewhere.call("DELETE", path_of(begun)),
    ]

    assert [answer.status for answer in answers] == [404] * 4


async def test_knowing_a_digest_of_another_project_opens_nothing(door: Door) -> None:
    content = content_of(door)
    digest = await door.upload(content)
    elsewhere = await door.beside()
    begun = await begin(elsewhere, content)

    completed = await elsewhere.call("POST", f"{path_of(begun)}/complete")

    assert (completed.status, completed.document["type"]) == (409, "/problems/parts-missing")
    assert (await elsewhere.call("GET", f"/artifacts/{digest}")).status == 404
    assert (await elsewhere.call("HEAD", f"/artifacts/{digest}")).status == 404


async def test_two_projects_share_the_bytes_and_nothing_else(door: Door) -> None:
    content = content_of(door)
    elsewhere = await door.beside()

    digest = await door.upload(content)
    await elsewhere.upload(content)

    stored = await asyncio.to_thread(lambda: [*door.artifacts.glob(f"sha256/*/{digest.removeprefix('sha256:')}")])
    assert len(stored) == 1
    assert (await elsewhere.call("GET", f"/artifacts/{digest}")).body == content
    assert await door.actions() == await elsewhere.actions() == ["artifact.uploaded"]


async def test_uploads_that_were_left_alone_are_cleaned_up(door: Door) -> None:
    begun = await begin(door, content_of(door))
    store = DiskArtifactStore(door.artifacts, new_id=new_uuid7)
    cleaning = UploadCleaning(
        door.database, store, kept_for=timedelta(hours=1), clock=lambda: utc_now() + timedelta(days=400)
    )

    removed = await cleaning.clean()

    assert removed >= 1
    assert (await door.call("GET", path_of(begun))).status == 404
    assert await asyncio.to_thread(lambda: list((door.artifacts / "uploads").iterdir())) == []


async def test_a_repeated_beginning_finds_the_upload_that_it_began(door: Door) -> None:
    content = content_of(door)
    path, body = f"/artifacts/{digest_of(content)}/uploads", {"bytes": len(content), "part_bytes": PART}
    key = {"idempotency-key": f"begin-{door.project}"}

    first, *others = [(await door.call("POST", path, body, headers=key)).expect(201) for _ in range(3)]
    reused = await door.call("POST", path, {**body, "part_bytes": 2 * PART}, headers=key)

    assert others == [first, first]
    assert (reused.status, reused.document["type"]) == (409, "/problems/idempotency-key-reused")
    assert (await door.call("DELETE", path_of(first))).status == 204
    assert (await door.call("POST", path, body, headers=key)).status == 404


async def test_a_repeated_completion_or_abortion_gets_its_first_answer(door: Door) -> None:
    content = content_of(door)
    done, dropped = await begin(door, content), await begin(door, content)
    for number, part in enumerate(parts_of(content), start=1):
        await send(door, done, number, part)
    to_complete = {"idempotency-key": f"complete-{door.project}"}
    to_abort = {"idempotency-key": f"abort-{door.project}"}

    completed = [await door.call("POST", f"{path_of(done)}/complete", headers=to_complete) for _ in range(2)]
    aborted = [await door.call("DELETE", path_of(dropped), headers=to_abort) for _ in range(2)]
    unnamed = await door.call("DELETE", path_of(dropped))

    assert [answer.status for answer in completed] == [201, 201]
    assert completed[0].document == completed[1].document
    assert [answer.status for answer in aborted] == [204, 204]
    assert unnamed.status == 404
    assert await door.actions() == ["artifact.uploaded"]


async def test_an_upload_that_is_completed_twice_at_once_becomes_one_artifact(door: Door) -> None:
    content = content_of(door)
    begun = await begin(door, content)
    for number, part in enumerate(parts_of(content), start=1):
        await send(door, begun, number, part)

    answers = await asyncio.gather(*(door.call("POST", f"{path_of(begun)}/complete") for _ in range(4)))

    assert sorted(answer.status for answer in answers) == [200, 200, 200, 201]
    assert await door.actions() == ["artifact.uploaded"]
