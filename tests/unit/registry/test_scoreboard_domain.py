"""Which facts are new, and what they add."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_events.envelope import Envelope
from modelyard_events.inferences import ExposureRecorded, InferenceCompleted
from modelyard_events.shadows import ComparedVersion, ShadowReplayCompleted
from modelyard_registry.inbox.domain import select_uncounted
from modelyard_registry.scoreboard.domain import tally_replays, tally_requested, tally_variants
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


def test_requests_add_up_per_variant_with_their_errors_and_latencies() -> None:
    inferences = [
        an_inference(latency_ms=10.0),
        an_inference(latency_ms=5.0, outcome="failed"),
        an_inference(latency_ms=1.0, outcome="fell_back"),
        an_inference(latency_ms=99.0, variant=None),
        an_inference(latency_ms=99.0, experiment=None),
    ]

    ((key, tally),) = tally_variants(inferences).items()

    assert tuple(key) == ("bank", "exp", "treatment")
    assert (tally.requests, tally.errors, tally.latency_ms, tally.exposures) == (3, 2, 16.0, 0)


def test_each_request_with_a_shadow_is_a_replay_that_must_end() -> None:
    tallies = tally_requested([an_inference(shadow=_version(9)), an_inference(shadow=_version(9)), an_inference()])

    ((key, tally),) = tallies.items()

    assert (key.served_version_id, key.shadow_version_id) == (str(uuid.UUID(int=1)), str(uuid.UUID(int=9)))
    assert (tally.requested, tally.served, tally.shadow) == (2, "m/1", "m/1")


def test_each_replay_ends_in_one_way() -> None:
    ends = ["failed"] * 2 + ["expired"] * 3 + ["dropped"] * 4
    events = [a_comparison(difference=None).model_copy(update={"outcome": end}) for end in ends]

    (tally,) = tally_replays(events).values()

    assert (tally.failed, tally.expired, tally.dropped, tally.compared, tally.measured) == (2, 3, 4, 0, 0)


def test_comparisons_add_up_by_verdict_with_both_latencies() -> None:
    events = [
        a_comparison(difference=1.0),
        a_comparison(difference=-3.0).model_copy(update={"verdict": "drift", "shadow_latency_ms": None}),
        a_comparison(difference=-3.0).model_copy(update={"verdict": "drift", "served_latency_ms": 5.0}),
    ]

    (tally,) = tally_replays(events).values()

    assert (tally.matched, tally.drifted, tally.measured) == (1, 2, 3)
    assert (tally.difference, tally.difference_abs) == (-5.0, 7.0)
    assert (tally.served_latency_ms, tally.shadow_latency_ms) == (7.0, 4.0)


@pytest.mark.parametrize("given", ["difference", "difference_abs"])
def test_half_a_difference_has_no_part_in_the_means(given: str) -> None:
    event = a_comparison(difference=2.0).model_copy(update={given: None})

    (tally,) = tally_replays([event]).values()

    assert (tally.compared, tally.measured) == (1, 0)


def test_a_version_id_is_one_however_it_is_written() -> None:
    written = ComparedVersion(version_id=uuid.UUID(int=1).hex.upper(), model="m", number=1, digest=DIGEST)
    event = a_comparison(difference=None).model_copy(update={"served": written})

    (key,) = tally_replays([event])

    assert key.served_version_id == str(uuid.UUID(int=1))


def test_a_version_of_no_registry_is_refused() -> None:
    stranger = ComparedVersion(version_id="risk-7", model="m", number=1, digest=DIGEST)

    with pytest.raises(PermanentError, match="'risk-7' is not a UUID") as refusal:
        tally_replays([a_comparison(difference=None).model_copy(update={"shadow": stranger})])

    assert refusal.value.reason == "version_id_invalid"


def an_inference(
    *,
    latency_ms: float = 1.0,
    outcome: str = "served",
    experiment: str | None = "exp",
    variant: str | None = "treatment",
    shadow: ComparedVersion | None = None,
) -> Delivery[Any]:
    values: dict[str, Any] = {
        "served": _version(1),
        "experiment": experiment,
        "variant": variant,
        "outcome": outcome,
        "latency_ms": latency_ms,
        "shadow": shadow,
    }
    event = InferenceCompleted.model_construct(project="bank", model_type="risk", **values)
    delivery: Delivery[Any] = an_exposure()
    return replace(delivery, event=event)
