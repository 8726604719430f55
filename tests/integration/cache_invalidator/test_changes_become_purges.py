"""An entity changed: what was cached about it is gone, and everybody can know."""

import asyncio

import pytest
from modelyard_events.codec import Record
from modelyard_events.entities import EntityChanged
from modelyard_events.invalidations import EntityPurged
from modelyard_events.topics import CACHE_INVALIDATIONS, ENTITY_CHANGES, topic_named
from modelyard_prediction_cache import Entity

from tests.integration.cache_invalidator.conftest import Invalidation, causes
from tests.world.outsider import an_outsiders_event
from tests.world.waiting import until

pytestmark = pytest.mark.integration

LOAN = Entity(tenant="CA", entity_type="loan", entity_id="4711")
OTHER = Entity(tenant="CA", entity_type="loan", entity_id="47*")


async def test_a_change_purges_its_entity_alone_and_is_announced(invalidation: Invalidation) -> None:
    await invalidation.remember(LOAN)
    await invalidation.remember(OTHER)

    event_id = await invalidation.change(LOAN, version=3)

    (purge,) = await invalidation.purges(count=1)
    assert not await invalidation.cached(LOAN)
    assert await invalidation.cached(OTHER)
    assert purge.key == "CA/loan/4711"
    assert purge.envelope.causation_id == event_id
    assert purge.event == EntityPurged(
        tenant="CA", entity_type="loan", entity_id="4711", version=3, purged_entries=1, caused_by=event_id
    )


@pytest.mark.parametrize("structured", [False, True])
async def test_an_outsiders_cloud_event_is_understood(invalidation: Invalidation, structured: bool) -> None:
    await invalidation.remember(LOAN)
    data = {"tenant": "CA", "entity_type": "loan", "entity_id": "4711", "version": 3}

    await invalidation.send(an_outsiders_event(EntityChanged.type, data, subject="CA/loan/4711", structured=structured))

    await invalidation.purges(count=1)
    assert not await invalidation.cached(LOAN)


async def test_a_change_by_http_purges_before_it_is_answered_in_the_callers_name(invalidation: Invalidation) -> None:
    await invalidation.remember(LOAN)

    reply = await invalidation.http.call(
        "POST", "/v1/entity-changes", {"tenant": "CA", "entity_type": "loan", "entity_id": "4711", "version": 3}
    )

    event_id = reply.expect(202)["event_id"]
    assert not await invalidation.cached(LOAN)
    (purge,) = await invalidation.purges(count=1)
    assert causes([purge]) == [event_id]
    assert purge.envelope.actor == "loan-book"


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"tenant": "CA", "entity_type": "loan"},
        {"tenant": "not a slug", "entity_type": "loan", "entity_id": "1"},
        {"tenant": "CA", "entity_type": "loan", "entity_id": "1", "version": -1},
        {"tenant": "CA", "entity_type": "loan", "entity_id": "1", "vresion": 1},
        {"tenant": "CA", "entity_type": "loan", "entity_id": "x" * 201},
    ],
)
async def test_a_malformed_change_is_refused_and_changes_nothing(invalidation: Invalidation, document: object) -> None:
    reply = await invalidation.http.call("POST", "/v1/entity-changes", document)

    assert reply.status == 422
    assert reply.is_problem
    assert await invalidation.topics.published(CACHE_INVALIDATIONS) == []


async def test_nobody_purges_without_a_token(invalidation: Invalidation) -> None:
    reply = await invalidation.http.call(
        "POST",
        "/v1/entity-changes",
        {"tenant": "CA", "entity_type": "loan", "entity_id": "4711"},
        headers={"Authorization": "Bearer nobody's"},
    )

    assert reply.status == 401
    assert reply.is_problem


async def test_a_change_that_is_delivered_twice_is_announced_with_the_same_cause(
    invalidation: Invalidation,
) -> None:
    first = await invalidation.change(LOAN, version=3, event_id="the-same")
    again = await invalidation.change(LOAN, version=3, event_id="the-same")

    purges = await invalidation.purges(count=2)

    assert first == again
    assert set(causes(purges)) == {"the-same"}


async def test_a_record_that_nobody_can_read_is_parked_and_the_others_go_on(invalidation: Invalidation) -> None:
    await invalidation.remember(LOAN)
    poison = Record(key=b"CA/loan/4711", value=b"{not json", headers=(("ce_type", b"\xff\xfe"),))
    misplaced = an_outsiders_event("entity.purged.v1", {
        "tenant": "CA", "entity_type": "loan", "entity_id": "4711", "purged_entries": 0, "caused_by": "x"
    }, subject="CA/loan/4711")  # fmt: skip

    await invalidation.send(poison)
    await invalidation.send(misplaced)
    event_id = await invalidation.change(LOAN, version=3)

    assert causes(await invalidation.purges(count=1)) == [event_id]
    assert not await invalidation.cached(LOAN)
    parked = await until(
        lambda: invalidation.topics.records(topic_named(ENTITY_CHANGES.dead_letter_name)),
        lambda found: len(found) >= 2,
    )
    assert [record.value for record in parked] == [poison.value, misplaced.value]


async def test_every_change_of_a_flood_is_purged_and_announced_once(invalidation: Invalidation) -> None:
    entities = [Entity(tenant="CA", entity_type="loan", entity_id=str(number)) for number in range(100)]
    for entity in entities:
        await invalidation.remember(entity)

    sent: list[str] = []
    for version in range(1, 6):
        sent += await asyncio.gather(*(invalidation.change(entity, version=version) for entity in entities))

    purges = await invalidation.purges(count=len(sent))
    assert sorted(causes(purges)) == sorted(sent)
    assert not any([await invalidation.cached(entity) for entity in entities])
    versions: dict[str, list[int]] = {}
    for purge in await invalidation.topics.published(CACHE_INVALIDATIONS):
        assert isinstance(purge.event, EntityPurged)
        versions.setdefault(purge.key, []).append(purge.event.version or 0)
    assert all(each == [1, 2, 3, 4, 5] for each in versions.values())
