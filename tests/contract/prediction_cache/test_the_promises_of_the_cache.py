"""What every prediction cache promises; the twin in memory and the one on a real server both keep it."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
from modelyard_prediction_cache import Entity, Lease, Purge, Reading, connect

from tests.contract.prediction_cache.caches import LOAN, Build, Kept, memory_cache, redis_cache


@pytest.fixture
async def build_on_server(redis_url: str) -> AsyncIterator[Build]:
    redis = connect(redis_url, timeout_s=30.0)
    yield partial(redis_cache, redis)
    await redis.aclose()


@pytest.fixture(params=["memory", pytest.param("valkey", marks=pytest.mark.integration)])
def build(request: pytest.FixtureRequest) -> Build:
    if request.param == "memory":
        return memory_cache
    on_server: Build = request.getfixturevalue("build_on_server")
    return on_server


async def lease_of(kept: Kept, *, entity: Entity = LOAN, prediction: str = "p-miss") -> Lease:
    """The lease that a miss takes."""
    lease = (await kept.cache.read(entity, prediction=prediction)).lease
    assert lease is not None
    return lease


async def test_a_miss_takes_a_lease_and_what_is_filled_with_it_is_hit(build: Build) -> None:
    kept = build()
    lease = await lease_of(kept, prediction="p1")

    stored = await kept.cache.fill(
        LOAN, lease, prediction="p1", value=b"0.93", entity_version=7, features=("f1", b"{amount: 5}")
    )

    reading = await kept.cache.read(LOAN, prediction="p1", features="f1")
    assert stored
    assert reading.prediction == b"0.93"
    assert reading.lease is None
    assert reading.features is not None
    assert (reading.features.version, reading.features.value) == (7, b"{amount: 5}")


async def test_features_are_found_also_where_the_prediction_is_not(build: Build) -> None:
    kept = build()
    lease = await lease_of(kept, prediction="p1")
    await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", features=("f1", b":with:colons:"))

    reading = await kept.cache.read(LOAN, prediction="p2", features="f1")

    assert reading.prediction is None
    assert reading.lease is not None
    assert reading.features is not None
    assert (reading.features.version, reading.features.value) == (None, b":with:colons:")


async def test_readers_of_the_same_time_share_a_lease_and_may_all_fill(build: Build) -> None:
    kept = build()
    first, second = await lease_of(kept, prediction="p1"), await lease_of(kept, prediction="p2")

    stored = [
        await kept.cache.fill(LOAN, first, prediction="p1", value=b"1"),
        await kept.cache.fill(LOAN, second, prediction="p2", value=b"2"),
    ]

    assert stored == [True, True]


async def test_a_purge_deletes_everything_about_the_entity_and_counts_it(build: Build) -> None:
    kept = build()
    lease = await lease_of(kept, prediction="p1")
    await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", features=("f1", b"{}"))
    await kept.cache.fill(LOAN, lease, prediction="p2", value=b"2")

    counts = [await kept.cache.purge(LOAN), await kept.cache.purge(LOAN)]

    reading = await kept.cache.read(LOAN, prediction="p1", features="f1")
    assert counts == [3, 0]
    assert (reading.prediction, reading.features) == (None, None)


@pytest.mark.parametrize("reads_entity", [True, False])
async def test_a_lease_from_before_a_purge_fills_nothing_after_it(build: Build, reads_entity: bool) -> None:
    kept = build()
    lease = await lease_of(kept)
    await kept.cache.purge(LOAN, version=5)

    stored = await kept.cache.fill(
        LOAN, lease, prediction="p1", value=b"old", entity_version=9, reads_entity=reads_entity
    )

    assert not stored
    assert (await kept.cache.read(LOAN, prediction="p1")).prediction is None


async def test_a_flushed_cache_forgets_its_leases(build: Build) -> None:
    kept = build()
    lost = await lease_of(kept)
    await kept.flush()
    await lease_of(kept)

    stored = await kept.cache.fill(LOAN, lost, prediction="p1", value=b"old")

    assert not stored


async def test_after_a_purge_inputs_must_reach_the_version_of_the_change(build: Build) -> None:
    kept = build()
    await kept.cache.purge(LOAN, version=5)
    lease = await lease_of(kept)

    async def fill(version: int | None) -> bool:
        return await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", entity_version=version)

    assert [await fill(None), await fill(4), await fill(5), await fill(6)] == [False, False, True, True]


async def test_inputs_that_came_with_the_request_need_no_version(build: Build) -> None:
    kept = build()
    await kept.cache.purge(LOAN, version=5)
    lease = await lease_of(kept)

    stored = await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", reads_entity=False)

    assert stored


async def test_while_a_floor_stands_inputs_without_a_version_are_refused_however_long(build: Build) -> None:
    kept = build(hold_off_s=0.05)
    await kept.cache.purge(LOAN, version=5)
    await kept.cache.fill(LOAN, await lease_of(kept), prediction="p1", value=b"1", entity_version=5)
    await kept.pass_time(0.1)

    stored = await kept.cache.fill(LOAN, await lease_of(kept), prediction="p2", value=b"2")

    assert not stored


async def test_a_purge_without_a_version_holds_off_all_inputs_of_the_entity(build: Build) -> None:
    kept = build()
    await kept.cache.purge(LOAN)
    lease = await lease_of(kept)

    stored = [
        await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1"),
        await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", entity_version=1_000_000),
    ]

    assert stored == [False, False]


async def test_inputs_read_in_the_hold_off_are_refused_also_after_it(build: Build) -> None:
    kept = build(hold_off_s=0.3)
    await kept.cache.purge(LOAN)
    early = await lease_of(kept)
    await kept.cache.fill(LOAN, early, prediction="p0", value=b"keeps the hash", reads_entity=False)
    await kept.pass_time(0.4)
    late = await lease_of(kept)

    stored = [
        await kept.cache.fill(LOAN, early, prediction="p1", value=b"1"),
        await kept.cache.fill(LOAN, late, prediction="p1", value=b"1"),
    ]

    assert stored == [False, True]


async def test_a_hold_off_that_ends_takes_no_values_with_it(build: Build) -> None:
    kept = build(hold_off_s=0.05, lease_s=0.05)
    await kept.cache.purge(LOAN, version=5)
    await kept.cache.fill(LOAN, await lease_of(kept), prediction="p1", value=b"1", entity_version=5)

    await kept.pass_time(0.2)

    assert (await kept.cache.read(LOAN, prediction="p1")).prediction == b"1"


async def test_a_lease_that_nobody_used_ends(build: Build) -> None:
    kept = build(lease_s=0.05)
    lease = await lease_of(kept)

    await kept.pass_time(0.2)

    assert not await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1")


@pytest.mark.parametrize("versions", [(5, 7), (7, 5), (7, 7, 5), (10, 9), (2**63 + 2, 2**63 + 1)])
async def test_purges_may_come_twice_and_in_any_order(build: Build, versions: tuple[int, ...]) -> None:
    kept = build()
    for version in versions:
        await kept.cache.purge(LOAN, version=version)
    lease = await lease_of(kept)
    highest = max(versions)

    stored = [
        await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", entity_version=highest - 1),
        await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", entity_version=highest),
    ]

    assert stored == [False, True]


async def test_a_purge_deletes_whatever_version_it_carries(build: Build) -> None:
    kept = build()
    await kept.cache.purge(LOAN, version=1_000_000)
    await kept.cache.fill(LOAN, await lease_of(kept), prediction="p1", value=b"1", reads_entity=False)

    purged = await kept.cache.purge(LOAN, version=1)

    assert purged == 1
    assert (await kept.cache.read(LOAN, prediction="p1")).prediction is None


async def test_a_version_says_nothing_about_the_changes_of_another_source(build: Build) -> None:
    kept = build()
    await kept.cache.purge(LOAN, version=5, source="ledger")
    await kept.cache.purge(LOAN, version=900, source="crm")
    lease = await lease_of(kept)

    stored = [
        await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", entity_version=1_000, source="ledger"),
        await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", entity_version=1_000, source="crm"),
    ]

    assert stored == [False, False]


async def test_the_floor_of_a_source_is_raised_by_that_source_alone(build: Build) -> None:
    kept = build(hold_off_s=0.05)
    await kept.cache.purge(LOAN, version=5, source="ledger")
    await kept.cache.purge(LOAN, version=900, source="crm")
    await kept.cache.fill(LOAN, await lease_of(kept), prediction="p0", value=b"0", reads_entity=False)
    await kept.pass_time(0.1)
    lease = await lease_of(kept)

    stored = [
        await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", entity_version=4, source="ledger"),
        await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", entity_version=5, source="ledger"),
    ]

    assert stored == [False, True]


async def test_an_entity_keeps_a_bounded_number_of_values_and_the_newest_is_among_them(build: Build) -> None:
    kept = build(fields_max=10)
    lease = await lease_of(kept)
    for number in range(50):
        await kept.cache.fill(LOAN, lease, prediction=f"p{number}", value=b"1", reads_entity=False)

    newest = await kept.cache.read(LOAN, prediction="p49")

    assert newest.prediction == b"1"
    assert await kept.cache.purge(LOAN) == 10


async def test_a_value_that_is_too_large_is_not_stored(build: Build) -> None:
    kept = build()
    lease = await lease_of(kept)

    stored = [
        await kept.cache.fill(LOAN, lease, prediction="p1", value=b"x" * 1_001),
        await kept.cache.fill(LOAN, lease, prediction="p1", value=b"x", features=("f1", b"x" * 1_001)),
    ]

    assert stored == [False, False]
    assert await kept.cache.purge(LOAN) == 0


@pytest.mark.parametrize(
    "other",
    [
        Entity(tenant="acme", entity_type="loan", entity_id="471*"),
        Entity(tenant="acme", entity_type="loan", entity_id="[4]7?1"),
        Entity(tenant="acme", entity_type="loan4:", entity_id="711"),
        Entity(tenant="acm", entity_type="e4:loan", entity_id="4711"),
        Entity(tenant="ac", entity_type="me4:loan4", entity_id=":4711"),
        Entity(tenant="acme", entity_type="loan", entity_id="4711}{\n\x00é"),
    ],
)
async def test_no_choice_of_ids_reaches_another_entity(build: Build, other: Entity) -> None:
    kept = build()
    await kept.cache.fill(LOAN, await lease_of(kept), prediction="p1", value=b"loan")
    await kept.cache.fill(other, await lease_of(kept, entity=other), prediction="p1", value=b"other")

    purged = await kept.cache.purge(other)

    assert purged == 1
    assert (await kept.cache.read(LOAN, prediction="p1")).prediction == b"loan"


async def test_many_purges_are_done_in_their_order(build: Build) -> None:
    kept = build()
    other = Entity(tenant="acme", entity_type="loan", entity_id="4712")
    await kept.cache.fill(LOAN, await lease_of(kept), prediction="p1", value=b"1")

    counts = await kept.cache.purge_all(
        [Purge(entity=LOAN, version=2), Purge(entity=other), Purge(entity=LOAN, version=3)]
    )

    assert counts == [1, 0, 0]
    assert await kept.cache.purge_all([]) == []


async def test_a_field_that_could_be_mistaken_for_a_lease_is_refused(build: Build) -> None:
    kept = build()
    lease = await lease_of(kept)

    with pytest.raises(ValueError, match="cannot name a value"):
        await kept.cache.fill(LOAN, lease, prediction="#lease", value=b"1")
    with pytest.raises(ValueError, match="cannot name a value"):
        await kept.cache.read(LOAN, prediction="#barrier")


async def test_features_cannot_be_said_to_come_with_the_request(build: Build) -> None:
    kept = build()
    lease = await lease_of(kept)

    with pytest.raises(ValueError, match="reads_entity=True"):
        await kept.cache.fill(LOAN, lease, prediction="p1", value=b"1", features=("f1", b"{}"), reads_entity=False)


async def test_a_hit_needs_no_lease(build: Build) -> None:
    kept = build()
    await kept.cache.fill(LOAN, await lease_of(kept), prediction="p1", value=b"1")

    reading = await kept.cache.read(LOAN, prediction="p1")

    assert reading == Reading(prediction=b"1", features=None, lease=None)
