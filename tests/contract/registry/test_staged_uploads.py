"""What every artifact store promises about uploads by parts, which may take any time and end at any moment."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from io import BytesIO

import aiohttp
import pytest
from modelyard_registry.artifact_stores.ports import (
    ArtifactDamagedError,
    ArtifactMissingError,
    ArtifactStore,
    PartsMissingError,
    PartTarget,
    UploadLostError,
)
from modelyard_runtime.clock import utc_now

from tests.contract.registry.artifact_stores import MIB, Kit, chunks_of, digest_of, kind, kit, object_server, read

__all__ = ["kind", "kit", "object_server"]

STORAGES = [pytest.param(name, marks=pytest.mark.integration) for name in ("s3", "gcs", "azure")]
PARTS = [bytes([number]) * (5 * MIB) for number in range(2)] + [b"the rest"]
SIZES = [len(part) for part in PARTS]
WHOLE = b"".join(PARTS)


async def send(store: ArtifactStore, staging: str, number: int, content: bytes) -> None:
    """Stage a part in the way that the store wants."""
    target = await store.part_target(staging, number=number, checksum=None)
    if target is None:
        await store.write_part(staging, number=number, chunks=chunks_of(content))
        return
    assert await put(target, content) in (200, 201)


async def put(target: PartTarget, content: bytes) -> int:
    """What a client does: no token, only the headers that it was told."""
    async with (
        aiohttp.ClientSession() as session,
        session.put(target.url, data=BytesIO(content), headers=target.headers) as answer,
    ):
        return answer.status


async def test_parts_in_any_order_become_one_artifact(kit: Kit) -> None:
    staging = await kit.store.begin(with_checksums=False)
    for number in (3, 1, 2):
        await send(kit.store, staging, number, PARTS[number - 1])

    async with kit.store.assembled(staging, sizes=SIZES) as incoming:
        await incoming.keep()
        assert (incoming.digest, incoming.size_bytes) == (digest_of(WHOLE), len(WHOLE))
    await kit.store.discard(staging)

    assert await read(kit.store, digest_of(WHOLE)) == WHOLE
    assert len(await kit.leftovers()) == 1


async def test_an_upload_goes_on_where_it_was_cut_off(kit: Kit) -> None:
    staging = await kit.store.begin(with_checksums=False)
    await send(kit.store, staging, 2, PARTS[1])

    assert dict(await kit.store.list_parts(staging)) == {2: 5 * MIB}
    with pytest.raises(PartsMissingError) as refused:
        async with kit.store.assembled(staging, sizes=SIZES):
            pytest.fail("an upload with a part was taken for a whole one")
    await send(kit.store, staging, 1, PARTS[0])
    await send(kit.store, staging, 3, PARTS[2])

    assert refused.value.extra["missing"] == [1, 3]
    async with kit.store.assembled(staging, sizes=SIZES) as incoming:
        assert incoming.digest == digest_of(WHOLE)


async def test_a_process_that_was_killed_while_it_completed_can_do_it_again(kit: Kit) -> None:
    staging = await kit.store.begin(with_checksums=False)
    await send(kit.store, staging, 1, PARTS[2])

    for _ in range(2):
        async with kit.store.assembled(staging, sizes=[SIZES[2]]) as incoming:
            await incoming.keep()

    assert await read(kit.store, digest_of(PARTS[2])) == PARTS[2]


async def test_what_is_assembled_and_not_kept_is_no_artifact(kit: Kit) -> None:
    staging = await kit.store.begin(with_checksums=False)
    await send(kit.store, staging, 1, PARTS[2])

    async with kit.store.assembled(staging, sizes=[SIZES[2]]):
        pass
    await kit.store.discard(staging)

    assert await kit.leftovers() == []
    with pytest.raises(ArtifactMissingError):
        await read(kit.store, digest_of(PARTS[2]))


async def test_a_discarded_upload_leaves_nothing_and_is_lost(kit: Kit) -> None:
    staging = await kit.store.begin(with_checksums=False)
    await send(kit.store, staging, 1, PARTS[2])

    await kit.store.discard(staging)
    await kit.store.discard(staging)

    assert await kit.leftovers() == []
    with pytest.raises(UploadLostError):
        await kit.store.list_parts(staging)
    with pytest.raises(UploadLostError):
        await kit.store.write_part(staging, number=1, chunks=chunks_of(b"late"))


async def test_uploads_that_were_left_alone_are_removed_and_artifacts_are_not(kit: Kit) -> None:
    old = await kit.store.begin(with_checksums=False)
    await send(kit.store, old, 1, PARTS[2])
    async with kit.store.assembled(old, sizes=[SIZES[2]]) as incoming:
        await incoming.keep()
    await kit.store.begin(with_checksums=False)

    too_young = await kit.store.discard_stale(before=utc_now() - timedelta(hours=1))
    removed = await kit.store.discard_stale(before=utc_now() + timedelta(hours=1))

    assert (too_young, removed) == (0, 2)
    assert len(await kit.leftovers()) == 1
    assert await read(kit.store, digest_of(PARTS[2])) == PARTS[2]


@pytest.mark.parametrize("kind", STORAGES, indirect=True)
async def test_parts_go_straight_to_a_storage_that_signs_addresses(kit: Kit) -> None:
    staging = await kit.store.begin(with_checksums=False)

    target = await kit.store.part_target(staging, number=1, checksum=None)

    assert target is not None
    assert await put(target, PARTS[2]) in (200, 201)
    assert dict(await kit.store.list_parts(staging)) == {1: SIZES[2]}


@pytest.mark.parametrize("kind", STORAGES, indirect=True)
async def test_an_address_is_good_for_its_own_part_only(kit: Kit) -> None:
    staging = await kit.store.begin(with_checksums=False)
    other = await kit.store.begin(with_checksums=False)
    target = await kit.store.part_target(staging, number=1, checksum=None)
    elsewhere = await kit.store.part_target(other, number=2, checksum=None)
    assert target is not None
    assert elsewhere is not None
    path, _, query = target.url.partition("?")
    other_path, _, other_query = elsewhere.url.partition("?")

    refused = [
        await put(replace(target, url=f"{other_path}?{query}"), b"x"),
        await put(replace(target, url=f"{path}?{other_query}"), b"x"),
        await put(replace(target, url=path), b"x"),
        await put(replace(target, url=f"{path.replace('incoming', 'sha256')}?{query}"), b"x"),
    ]

    assert all(status in (400, 401, 403, 404) for status in refused), refused
    assert (await kit.store.list_parts(staging), await kit.store.list_parts(other)) == ({}, {})


@pytest.mark.parametrize("kind", STORAGES, indirect=True)
async def test_an_address_that_is_still_good_changes_no_artifact(kit: Kit) -> None:
    staging = await kit.store.begin(with_checksums=False)
    target = await kit.store.part_target(staging, number=1, checksum=None)
    assert target is not None
    await put(target, PARTS[2])

    async with kit.store.assembled(staging, sizes=[SIZES[2]]) as incoming:
        await put(target, PARTS[2][::-1])  # Between the proof and the keeping.
        with suppress(ArtifactDamagedError):  # S3 has closed the upload by then; the others find the change.
            await incoming.keep()
    await put(target, b"later still")

    with suppress(ArtifactMissingError):
        assert await read(kit.store, digest_of(PARTS[2])) == PARTS[2]
