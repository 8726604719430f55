"""The fault tests can fail: a system that breaks its promise under traffic is caught."""

from datetime import UTC, datetime

import pytest
from modelyard_events.codec import encode
from modelyard_events.envelope import Envelope
from modelyard_events.invalidations import EntityPurged
from modelyard_events.topics import CACHE_INVALIDATIONS

from tests.faults.aftermath import Aftermath
from tests.faults.traffic import ENTITIES, Traffic
from tests.world.checks import stale_answers
from tests.world.world import ENTITY_TYPE

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(300)]


async def pretend_to_purge(traffic: Traffic, entity_id: str) -> None:
    """Say that everything cached about an entity was purged, after a change that nobody was told of."""
    lending = traffic.lending
    version = 1_000_000
    purged = EntityPurged(
        tenant=lending.tenant,
        entity_type=ENTITY_TYPE,
        entity_id=entity_id,
        version=version,
        purged_entries=1,
        caused_by="nothing",
    )
    envelope = Envelope(
        id=f"pretence-{lending.project}-{entity_id}",
        source="/pretender",
        type=purged.type,
        subject=f"{lending.tenant}/{ENTITY_TYPE}/{entity_id}",
        occurred_at=datetime.now(UTC),
    )
    await lending.world.send(CACHE_INVALIDATIONS, encode(purged, envelope))
    await lending.purge_of(entity_id, version=version)


async def test_a_purge_that_was_only_pretended_is_caught(traffic: Traffic) -> None:
    async with traffic.flowing():
        await traffic.go_on()
        assert stale_answers(traffic.answers) == []
        for number in range(ENTITIES):
            await pretend_to_purge(traffic, f"loan-{number}")
        await traffic.predict_on()

    assert stale_answers(traffic.answers) != []
    with pytest.raises(AssertionError, match="though the purge of version 1000000 was known"):
        await Aftermath(traffic=traffic).check(settled_within_s=5.0)
