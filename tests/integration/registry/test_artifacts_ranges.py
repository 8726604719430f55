"""Downloads as a model server makes them: by parts, resumed, only when changed, and asked about first."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.integration.registry.door import Door, digest_of, versions

pytestmark = pytest.mark.integration

CONTENT = bytes(range(256)) * 10_000


@dataclass(frozen=True, slots=True)
class Got:
    """An answer with its headers."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(door: Door, path: str, *, method: str = "GET", **headers: str) -> Got:
    """One request to an address below the project; `if_range="…"` is the header If-Range."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with door.http.session.request(
        method,
        f"{door.http.url}/api/v1/projects/{door.project}{path}",
        headers={"authorization": f"Bearer {door.http.token}", "accept-encoding": "identity", **named},
    ) as answer:
        return Got(answer.status, answer.headers, await answer.read())


@pytest.fixture
async def addresses(door: Door) -> tuple[str, ...]:
    """Every address at which the same file is: by digest, as the champion's artifact, attached, and in a folder."""
    digest = digest_of(CONTENT)
    await door.create()
    await door.upload(CONTENT)
    number = int((await door.register(digest=digest))["number"])
    await door.deploy(number)
    (await door.move(number, "staging")).expect(200)
    (await door.move(number, "production")).expect(200)
    (await door.call("PUT", f"{versions()}/{number}/artifacts/weights", {"digest": digest})).expect(201)
    files = {"files": [{"path": "a/model.bin", "digest": digest, "bytes": len(CONTENT)}]}
    folder = (await door.call("POST", "/artifacts/manifests", files)).expect(201)["digest"]
    return (
        f"/artifacts/{digest}",
        f"{versions()}/@champion/artifact",
        f"{versions()}/champion/artifact",
        f"{versions()}/{number}/artifacts/weights",
        f"/artifacts/{folder}/files/a/model.bin",
    )


async def test_a_range_of_a_file_is_answered_wherever_the_file_is(door: Door, addresses: tuple[str, ...]) -> None:
    for path in addresses:
        got = await ask(door, path, range="bytes=1000-2999")

        assert (got.status, got.body) == (206, CONTENT[1000:3000]), path
        assert got.headers["content-range"] == f"bytes 1000-2999/{len(CONTENT)}"
        assert got.headers["content-length"] == "2000"
        assert got.headers["accept-ranges"] == "bytes"
        assert got.headers["etag"] == f'"{digest_of(CONTENT)}"'


async def test_the_end_and_the_rest_and_all_of_a_file_can_be_asked_for(door: Door, addresses: tuple[str, ...]) -> None:
    last, rest, whole = [
        await ask(door, addresses[0], range=f"bytes={asked}") for asked in ("-7", f"{len(CONTENT) - 5}-", "0-")
    ]

    assert (last.body, rest.body, whole.body) == (CONTENT[-7:], CONTENT[-5:], CONTENT)
    assert (last.status, rest.status, whole.status) == (206, 206, 206)


async def test_a_range_behind_the_end_is_416_and_says_how_long_the_file_is(
    door: Door, addresses: tuple[str, ...]
) -> None:
    for path in addresses:
        got = await ask(door, path, range=f"bytes={len(CONTENT)}-")

        assert got.status == 416
        assert got.headers["content-type"] == "application/problem+json"
        assert got.headers["content-range"] == f"bytes */{len(CONTENT)}"


async def test_a_range_is_sent_only_of_the_file_that_if_range_names(door: Door, addresses: tuple[str, ...]) -> None:
    same = await ask(door, addresses[0], range="bytes=0-9", if_range=f'"{digest_of(CONTENT)}"')
    other = await ask(door, addresses[0], range="bytes=0-9", if_range='"sha256:00"')

    assert (same.status, same.body) == (206, CONTENT[:10])
    assert (other.status, other.body) == (200, CONTENT)


async def test_what_the_caller_has_already_is_304_wherever_it_is(door: Door, addresses: tuple[str, ...]) -> None:
    etag = f'"{digest_of(CONTENT)}"'
    for path in addresses:
        held = [await ask(door, path, if_none_match=tag) for tag in (etag, f'"x", W/{etag}', "*")]
        new = await ask(door, path, if_none_match='"sha256:00"')

        assert [(got.status, got.body, got.headers["etag"]) for got in held] == [(304, b"", etag)] * 3
        assert (new.status, new.body) == (200, CONTENT)


async def test_head_tells_size_digest_and_etag_and_sends_nothing(door: Door, addresses: tuple[str, ...]) -> None:
    for path in addresses:
        head, got = await ask(door, path, method="HEAD"), await ask(door, path)

        assert (head.status, head.body) == (200, b"")
        for name in ("content-length", "etag", "digest", "accept-ranges", "content-type"):
            assert head.headers[name] == got.headers[name], (path, name)


async def test_head_is_answered_wherever_get_is(door: Door) -> None:
    created = await door.create()

    for path in ("/registered-models", "/registered-models/risk", "/audit-entries", "/model-versions"):
        head, got = await ask(door, path, method="HEAD"), await ask(door, path)

        assert (head.status, head.body) == (got.status, b"") == (200, b"")
        assert head.headers["content-length"] == str(len(got.body))
    assert (await ask(door, "/registered-models/risk", method="HEAD")).headers["etag"] == f'"{created["revision"]}"'
    assert (await ask(door, "/registered-models/nobody", method="HEAD")).status == 404


async def test_a_format_that_contradicts_the_record_is_refused_and_not_ignored(door: Door) -> None:
    pickled = b"\x80\x04K\x01."
    digest = digest_of(pickled)
    await door.upload(pickled)
    marks = await door.marks()

    contradicted = await door.call("PUT", f"/artifacts/{digest}?format=joblib", data=pickled)
    announced = await door.call("POST", f"/artifacts/{digest}/uploads", {"bytes": len(pickled), "format": "joblib"})
    agreed = await door.call("PUT", f"/artifacts/{digest}?format=pickle", data=pickled)
    silent = await door.call("PUT", f"/artifacts/{digest}", data=pickled)

    for refused in (contradicted, announced):
        assert refused.status == 409
        assert refused.document["type"] == "/problems/format-on-record"
        assert (refused.document["format"], "joblib" in refused.document["detail"]) == ("pickle", True)
    assert [agreed.status, silent.status] == [200, 200]
    assert (await door.marks())[1] == marks[1]


async def test_an_alias_is_written_with_or_without_its_at_sign_at_every_door(door: Door) -> None:
    await door.create()
    number = int((await door.register())["number"])

    for written in ("@next", "next"):
        set_to = await door.call("PUT", f"/registered-models/risk/aliases/{written}", {"number": number})
        found = await door.call("GET", f"/registered-models/risk/aliases/{written}")
        version = await door.call("GET", f"{versions()}/{written}")

        assert set_to.expect(200)["alias"] == found.expect(200)["alias"] == "next"
        assert version.expect(200)["number"] == number
    assert (await door.call("DELETE", "/registered-models/risk/aliases/@next")).status == 200
    assert (await door.call("GET", f"{versions()}/next")).status == 404


@pytest.mark.parametrize("text", ["1.5", "v2", "1.2.3.4", "@", "a b", "..", "١"])
async def test_what_looks_like_a_misspelt_version_is_no_alias(door: Door, text: str) -> None:
    await door.create()

    assert (await door.call("GET", f"{versions()}/{text}")).status in (404, 422)
