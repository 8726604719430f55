"""What every artifact store promises: disk, memory, S3, Google and Azure pass the same suite."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from modelyard_registry.artifact_stores.disk import DiskArtifactStore
from modelyard_registry.artifact_stores.ports import (
    HEAD_BYTES,
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStoreUnavailableError,
    ArtifactTooLargeError,
)
from modelyard_runtime.ids import new_uuid7

from tests.contract.registry.artifact_stores import (
    LARGE,
    MIB,
    Kit,
    chunks_of,
    digest_of,
    keep,
    kind,
    kit,
    object_server,
    read,
)

__all__ = ["kind", "kit", "object_server"]


@pytest.mark.parametrize("content", [b"x", b"0123456789" * 1000, LARGE], ids=["tiny", "small", "large"])
async def test_what_is_kept_is_read_back_under_its_digest(kit: Kit, content: bytes) -> None:
    digest = await keep(kit.store, content)

    assert digest == digest_of(content)
    assert await read(kit.store, digest) == content


async def test_what_came_in_is_described_before_it_is_kept(kit: Kit) -> None:
    async with kit.store.receive(chunks_of(LARGE), bytes_max=len(LARGE)) as incoming:
        assert (incoming.digest, incoming.size_bytes) == (digest_of(LARGE), len(LARGE))
        assert incoming.head == LARGE[:HEAD_BYTES]


async def test_what_is_not_kept_leaves_nothing(kit: Kit) -> None:
    async with kit.store.receive(chunks_of(LARGE), bytes_max=100 * MIB):
        pass

    assert await kit.leftovers() == []
    with pytest.raises(ArtifactMissingError):
        await read(kit.store, digest_of(LARGE))


@pytest.mark.parametrize(("first", "last"), [(0, 0), (5, 2 * MIB), (len(LARGE) - 3, len(LARGE) - 1)])
async def test_a_range_is_read_as_it_is_stored(kit: Kit, first: int, last: int) -> None:
    digest = await keep(kit.store, LARGE)

    chunks = [chunk async for chunk in kit.store.read_range(digest, first=first, last=last)]

    assert b"".join(chunks) == LARGE[first : last + 1]


async def test_a_range_of_nothing_is_missing(kit: Kit) -> None:
    with pytest.raises(ArtifactMissingError):
        _ = [chunk async for chunk in kit.store.read_range(digest_of(b"nothing"), first=0, last=3)]


async def test_an_upload_that_breaks_off_leaves_nothing(kit: Kit) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield LARGE
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        async with kit.store.receive(broken(), bytes_max=100 * MIB):
            pytest.fail("a broken upload was taken for a whole one")

    assert await kit.leftovers() == []


async def test_an_upload_beyond_the_limit_is_stopped_before_all_of_it_came(kit: Kit) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield bytes(1000)

    with pytest.raises(ArtifactTooLargeError):
        async with kit.store.receive(endless(), bytes_max=10_000):
            pytest.fail("an endless upload ended")

    assert taken == 11
    assert await kit.leftovers() == []


async def test_keeping_the_same_bytes_again_changes_nothing(kit: Kit) -> None:
    first = await keep(kit.store, b"same")
    second = await keep(kit.store, b"same")

    assert first == second
    assert len(await kit.leftovers()) == 1


async def test_the_same_bytes_that_come_several_times_at_once_are_stored_once(kit: Kit) -> None:
    digests = await asyncio.gather(*(keep(kit.store, LARGE) for _ in range(3)))

    assert set(digests) == {digest_of(LARGE)}
    assert len(await kit.leftovers()) == 1
    assert await read(kit.store, digest_of(LARGE)) == LARGE


@pytest.mark.parametrize("content", [b"small enough for one chunk", LARGE], ids=["small", "large"])
async def test_a_wrong_byte_is_never_given_out_whole(kit: Kit, content: bytes) -> None:
    digest = await keep(kit.store, content)
    await kit.damage(digest)
    received: list[bytes] = []

    with pytest.raises(ArtifactDamagedError):
        await read(kit.store, digest, into=received)

    assert sum(map(len, received)) < len(content)
    assert bool(received) == (content is LARGE)


async def test_uploading_again_mends_damaged_bytes(kit: Kit) -> None:
    digest = await keep(kit.store, LARGE)
    await kit.damage(digest)

    await keep(kit.store, LARGE)

    assert await read(kit.store, digest) == LARGE


async def test_an_artifact_that_never_came_is_missing(kit: Kit) -> None:
    with pytest.raises(ArtifactMissingError):
        await read(kit.store, digest_of(b"never"))


async def test_the_disk_forgets_uploads_that_a_killed_process_left(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "0190.part").write_bytes(b"half of an artifa")

    async with DiskArtifactStore(tmp_path, new_id=new_uuid7):
        pass

    assert list((tmp_path / "incoming").iterdir()) == []


async def test_a_disk_that_fails_is_told_as_such(tmp_path: Path) -> None:
    async with DiskArtifactStore(tmp_path, new_id=new_uuid7) as store:
        (tmp_path / "incoming").rmdir()

        with pytest.raises(ArtifactStoreUnavailableError, match="No such file or directory"):
            await keep(store, b"nowhere to go")


@pytest.mark.parametrize("name", ["sha256:../../etc/passwd", "sha256:" + "../" * 21 + "x", "md5:" + "0" * 64, ""])
async def test_the_disk_reads_nothing_but_digests(tmp_path: Path, name: str) -> None:
    async with DiskArtifactStore(tmp_path, new_id=new_uuid7) as store:
        with pytest.raises(ValueError, match="not a digest"):
            await read(store, name)
