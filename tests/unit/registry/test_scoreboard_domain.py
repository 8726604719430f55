"""Which facts are new, and what they add."""

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.envelope import Envelope
from modelyard_events.inferences import ExposureRecorded
from modelyard_events.shadows import ComparedVersion, ShadowReplayCompleted
from modelyard_registry.inbox.domain import select_uncounted
from modelyard_registry.scoreboard.domain import tally_replays, tally_variants
from modelyard_runtime.consume import Delivery, Position
from modelyard_runtime.errors import PermanentError

DIGEST = f"sha256:{'0' * 64}"


@given(st.lists(st.integers(min_value=1, max_value=5), max_size=5), st.integers(min_value=0, max_value=40))
def test_a_history_with_repeats_counts_each_fact_once(repeats: list[int], known: int) -> None:
    history = list(range(1, 31))
    for back in repeats:
        history += range(max(1, 31 - 5 * back), 31)
    deliveries = [an_exposure(source="/router/a", sequence=sequence) for sequence in history]

    new, newest = select_uncounted(deliveries, last_sequences={"/router/a": known})

    assert [each.envelope.sequence for each in new] == list(range(known + 1, 31))
    assert newest == {"/router/a": max(30, known)}


def test_sources_are_counted_apart_and_facts_without_a_number_are_left_out() -> None:
    deliveries = [
        an_exposure(source="/router/a", sequence=1),
        an_exposure(source="/router/b", sequence=1),
        an_exposure(source="/gateway", sequence=None),
    ]

    new, newest = select_uncounted(deliveries, last_sequences={})

    assert new == deliveries[:2]
    assert newest == {"/router/a": 1, "/router/b": 1}


def test_exposures_add_up_per_variant() -> None:
    tallies = tally_variants(an_exposure(variant=variant) for variant in ("control", "treatment", "treatment"))

    assert {key[2]: tally.exposures for key, tally in tallies.items()} == {"control": 1, "treatment": 2}


def test_a_comparison_without_numbers_counts_as_compared_but_has_no_part_in_the_means() -> None:
    (tally,) = tally_replays([a_comparison(difference=2.0), a_comparison(difference=None)]).values()

    assert (tally.compared, tally.measured, tally.difference, tally.difference_abs) == (2, 1, 2.0, 2.0)


@pytest.mark.parametrize("difference", [float("nan"), float("inf")])
def test_a_number_that_would_spoil_a_sum_for_good_is_refused(difference: float) -> None:
    with pytest.raises(PermanentError) as refusal:
        tally_replays([a_comparison(difference=difference)])

    assert refusal.value.reason == "number_not_finite"


def test_pairs_come_in_one_order_so_that_two_batches_cannot_wait_for_each_other() -> None:
    events = [a_comparison(difference=1.0, served=number) for number in (3, 1, 2)]

    assert list(tally_replays(events)) == sorted(tally_replays(events))


def an_exposure(
    *, source: str = "/router/a", sequence: int | None = 1, variant: str = "treatment"
) -> Delivery[ExposureRecorded]:
    event = ExposureRecorded(
        exposure_id="x",
        project="bank",
        model_type="risk",
        experiment="exp",
        experiment_id="e",
        variant=variant,
        unit_hash="u",
        propensity=0.5,
        route_revision=1,
    )
    envelope = Envelope(
        id="1",
        source=source,
        type=event.type,
        subject="k",
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        sequence=sequence,
    )
    position = Position(topic="inferences.v1", partition=0, offset=0)
    return Delivery(envelope=envelope, event=event, position=position, attempt=1, key=None)


def a_comparison(*, difference: float | None, served: int = 1) -> ShadowReplayCompleted:
    return ShadowReplayCompleted.model_construct(
        inference_id="i",
        project="bank",
        model_type="risk",
        served=_version(served),
        shadow=_version(9),
        outcome="compared",
        verdict="match",
        difference=difference,
        difference_abs=abs(difference) if difference is not None else None,
        served_latency_ms=1.0,
        shadow_latency_ms=2.0,
    )


def _version(number: int) -> ComparedVersion:
    return ComparedVersion(version_id=str(uuid.UUID(int=number)), model="m", number=1, digest=DIGEST)
