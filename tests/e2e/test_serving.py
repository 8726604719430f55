"""Serving, end to end on real processes: experiments, shadows, and a cache that is never stale."""

from collections import Counter
from typing import Any

import pytest
from modelyard_events.entities import EntityChanged
from modelyard_events.inferences import InferenceCompleted
from modelyard_events.invalidations import EntityPurged
from modelyard_events.topics import CACHE_INVALIDATIONS, ENTITY_CHANGES, INFERENCES, SHADOW_COMPARISONS
from modelyard_events.values import Scope

from tests.world.checks import exposures_by_variant, unfinished_replays, unsteady_units
from tests.world.lending import GLOBAL_MODEL, INDUSTRY, INDUSTRY_MODEL, MODEL_TYPE, Lending
from tests.world.outsider import an_outsiders_event
from tests.world.published import Published, events_of
from tests.world.waiting import until
from tests.world.world import ENTITY_TYPE

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

UNITS = 120


async def inferences_of(lending: Lending) -> list[Published]:
    records = await lending.world.topics.published(INFERENCES)
    return [record for record in records if getattr(record.event, "project", None) == lending.project]


async def test_an_experiment_shares_out_its_units_and_counts_each_exposure_once(lending: Lending) -> None:
    challenger = await lending.release_industry("v2", to_stage="canary")
    key = f"boosted-{lending.project}"
    started = await lending.registry.start_experiment(
        key, model_type=MODEL_TYPE, treatment=(INDUSTRY_MODEL, challenger), industries=[INDUSTRY]
    )
    experiment = started.expect(201)
    await lending.settle()
    units = [f"borrower-{number}" for number in range(UNITS)]

    given = {unit: await lending.predict(f"loan-{unit}", unit_id=unit) for unit in units}
    again = {unit: await lending.predict(f"loan-{unit}", unit_id=unit) for unit in units}
    elsewhere = await lending.predict("loan-1", industry="credit_card")

    assert {unit: answer.variant for unit, answer in again.items()} == {
        unit: answer.variant for unit, answer in given.items()
    }
    served = Counter(answer.variant for answer in given.values())
    # Six standard deviations of a fair coin: the assignment is pure, so this can only fail when it is not fair.
    assert abs(served["treatment"] - UNITS / 2) < 3 * UNITS**0.5
    by_variant = {(answer.variant, answer.answered_by) for answer in given.values()}
    assert by_variant == {("control", f"{INDUSTRY_MODEL}/1"), ("treatment", f"{INDUSTRY_MODEL}/{challenger}")}
    assert elsewhere.reason == "global_champion", "the experiment covers one industry"

    counts = await until(
        lambda: lending.registry.counts_of(key),
        lambda seen: sum(row["exposures"] for row in seen.values()) >= 2 * UNITS,
    )
    facts = await inferences_of(lending)
    exposures = exposures_by_variant(facts, experiment_id=experiment["id"])
    assert {variant: row["exposures"] for variant, row in counts.items()} == exposures
    assert {variant: row["requests"] for variant, row in counts.items()} == {
        variant: 2 * count for variant, count in served.items()
    }
    assert unsteady_units(facts, experiment_id=experiment["id"]) == []


async def test_a_cached_prediction_dies_with_the_change_of_its_entity(lending: Lending) -> None:
    first = await lending.predict("loan-7")
    cached = await lending.predict("loan-7")
    assert (first.cache, cached.cache) == ("miss", "hit")
    assert cached.version_read == first.version_read == 1

    changed = lending.world.models.change("loan-7", tenant=lending.tenant)
    data = {"tenant": lending.tenant, "entity_type": ENTITY_TYPE, "entity_id": "loan-7", "version": changed}
    subject = f"{lending.tenant}/{ENTITY_TYPE}/loan-7"
    await lending.world.send(ENTITY_CHANGES, an_outsiders_event(EntityChanged.type, data, subject=subject))
    await lending.purge_of("loan-7", version=changed)

    fresh = await lending.predict("loan-7")
    assert (fresh.cache, fresh.version_read) == ("miss", changed)
    assert (await lending.predict("loan-7")).cache == "hit"
    published = await lending.world.topics.published(CACHE_INVALIDATIONS)
    purged = list(events_of((record for record in published if record.key == subject), EntityPurged))
    assert [(event.tenant, event.entity_id, event.version) for event in purged] == [(lending.tenant, "loan-7", changed)]


async def test_a_change_of_one_entity_leaves_the_others_cached(lending: Lending) -> None:
    for entity in ("loan-a", "loan-b"):
        await lending.predict(entity)

    version = await lending.world.change_entity("loan-a", tenant=lending.tenant)
    await lending.purge_of("loan-a", version=version)

    assert (await lending.predict("loan-b")).cache == "hit"
    assert (await lending.predict("loan-a")).cache == "miss"


async def test_a_promotion_puts_the_old_versions_predictions_out_of_reach(lending: Lending) -> None:
    await lending.predict("loan-1")
    assert (await lending.predict("loan-1")).cache == "hit"

    second = await lending.release_industry("v2")
    await lending.settle()

    answer = await lending.predict("loan-1")
    assert (answer.cache, answer.answered_by) == ("miss", f"{INDUSTRY_MODEL}/{second}")


async def test_each_answer_of_an_industry_model_is_replayed_on_the_global_one_and_the_ledger_adds_up(
    lending: Lending,
) -> None:
    for number in range(20):
        await lending.predict(f"loan-{number}")
    for number in range(5):
        await lending.predict(f"loan-{number}", industry="credit_card")

    async def ledger() -> list[dict[str, Any]]:
        return await lending.registry.items("/shadow-ledger", model_type=MODEL_TYPE)

    (row,) = await until(ledger, lambda seen: sum(row["compared"] for row in seen) >= 20)
    assert row["requested"] == row["compared"] == 20
    assert (row["failed"], row["expired"], row["dropped"]) == (0, 0, 0)
    facts = await inferences_of(lending)
    comparisons = [
        record
        for record in await lending.world.topics.published(SHADOW_COMPARISONS)
        if getattr(record.event, "project", None) == lending.project
    ]
    assert unfinished_replays(facts, comparisons) == []
    shadowed = [event for event in events_of(facts, InferenceCompleted) if event.shadow is not None]
    assert {event.served.scope for event in shadowed} == {Scope.INDUSTRY}
    assert {event.shadow.model for event in shadowed if event.shadow} == {GLOBAL_MODEL}
