"""The checks catch what they are for: a check that finds nothing must have been able to."""

from datetime import UTC, datetime
from itertools import count

from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.inferences import ExposureRecorded, InferenceCompleted, ServedVersion, ShadowTarget
from modelyard_events.registry import AuditEntryRecorded, ModelVersionTransitioned
from modelyard_events.routes import RoutableVersion, RouteChanged
from modelyard_events.shadows import ComparedVersion, ShadowReplayCompleted
from modelyard_events.values import Endpoint, Protocol, Scope, Stage

from tests.world.checks import (
    LedgerLine,
    ObservedAnswer,
    broken_audit_log,
    broken_routes,
    broken_sequences,
    exposures_by_variant,
    lost_facts,
    replay_outcomes,
    stale_answers,
    unaudited_changes,
    undecided_answers,
    unfinished_replays,
    unsteady_units,
    wrong_ledger,
)
from tests.world.published import Published

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64
_offsets = count()


def a_record(
    event: Event, *, sequence: int, event_id: str = "", key: str = "shop/risk", source: str = "/registry"
) -> Published:
    envelope = Envelope(
        id=event_id or f"{key}-{sequence}",
        source=source,
        type=event.type,
        subject=key,
        occurred_at=NOON,
        sequence=sequence,
        generation=1,
    )
    return Published(topic="t", partition=0, offset=next(_offsets), key=key, envelope=envelope, event=event)


def a_transition() -> ModelVersionTransitioned:
    return ModelVersionTransitioned(
        project="shop",
        model="risk",
        number=1,
        from_stage=Stage.DEVELOPMENT,
        to_stage=Stage.STAGING,
        revision=2,
    )


def some_transitions(*sequences: int) -> list[Published]:
    return [a_record(a_transition(), sequence=sequence) for sequence in sequences]


def an_entry(*, entry_id: str, request_id: str = "r1", sequence: int) -> Published:
    event = AuditEntryRecorded(
        entry_id=entry_id,
        project="shop",
        actor="ada",
        action="alias.moved",
        subject="registered-models/risk",
        recorded_at=NOON,
        request_id=request_id,
    )
    return a_record(event, sequence=sequence, event_id=f"{entry_id}-{sequence}")


def an_inference(inference_id: str, *, shadowed: bool = True, sequence: int = 1) -> Published:
    endpoint = Endpoint(url="http://127.0.0.1/infer", protocol=Protocol.OPEN_INFERENCE_V2)
    event = InferenceCompleted(
        inference_id=inference_id,
        project="shop",
        model_type="risk",
        served=ServedVersion(
            version_id="v2", model="own", number=1, semver="1.0.0", digest=DIGEST, scope=Scope.INDUSTRY
        ),
        reason="industry_champion",
        route_revision=1,
        cache="miss",
        outcome="served",
        latency_ms=3,
        shadow=ShadowTarget(version_id="v1", model="all", number=1, digest=DIGEST, endpoint=endpoint)
        if shadowed
        else None,
    )
    return a_record(event, sequence=sequence, event_id=f"i-{inference_id}", source="/router/1")


def a_replay(inference_id: str, *, outcome: str = "compared", event_id: str = "") -> Published:
    side = ComparedVersion(version_id="v", model="all", number=1, digest=DIGEST)
    event = ShadowReplayCompleted.model_validate(
        {
            "inference_id": inference_id,
            "project": "shop",
            "model_type": "risk",
            "served": side,
            "shadow": side,
            "outcome": outcome,
            "served_latency_ms": 1,
        }
    )
    return a_record(event, sequence=1, event_id=event_id or f"s-{inference_id}")


def an_exposure(exposure_id: str, *, unit: str, variant: str) -> Published:
    event = ExposureRecorded(
        exposure_id=exposure_id,
        project="shop",
        model_type="risk",
        experiment="spring",
        experiment_id="e1",
        variant=variant,
        unit_hash=unit,
        propensity=0.5,
        route_revision=1,
    )
    return a_record(event, sequence=1, event_id=f"x-{exposure_id}")


def an_answer(*, floor: int = 3, read: int = 3, answered_by: str = "own/1", revision_floor: int = 7) -> ObservedAnswer:
    return ObservedAnswer(
        inference_id="i1",
        entity_id="loan-1",
        version_floor=floor,
        version_read=read,
        decided="own/1",
        answered_by=answered_by,
        route_revision=7,
        revision_floor=revision_floor,
        cache="hit",
    )


def a_route(revision: int) -> RouteChanged:
    return RouteChanged(project="shop", model_type="risk", revision=revision)


def test_duplicates_and_late_records_break_no_sequence() -> None:
    assert broken_sequences(some_transitions(1, 2, 2, 1, 3, 2)) == []


def test_a_gap_breaks_a_sequence() -> None:
    assert broken_sequences(some_transitions(1, 3)) == ["key shop/risk: sequence 3 follows 1"]


def test_a_history_without_its_beginning_is_broken() -> None:
    assert broken_sequences(some_transitions(2, 3)) == ["key shop/risk: sequence 2 follows 0"]


def test_records_out_of_order_break_a_sequence() -> None:
    assert broken_sequences(some_transitions(1, 3, 2)) != []


def test_two_events_may_not_share_a_sequence() -> None:
    history = [a_record(a_transition(), sequence=1, event_id=name) for name in ("a", "b")]

    assert broken_sequences(history) == ["key shop/risk: two events with sequence 1"]


def test_each_key_has_its_own_sequence() -> None:
    history = [a_record(a_transition(), sequence=1, key=key) for key in ("shop/risk", "shop/own")]

    assert broken_sequences(history) == []


def test_an_audit_entry_has_one_place() -> None:
    assert broken_audit_log([an_entry(entry_id="e1", sequence=1), an_entry(entry_id="e2", sequence=2)]) == []
    assert broken_audit_log([an_entry(entry_id="e1", sequence=1), an_entry(entry_id="e1", sequence=2)]) == [
        "entry e1 stands at [1, 2]"
    ]
    assert broken_audit_log([an_entry(entry_id="e1", sequence=2)]) != []


def test_each_accepted_change_is_audited_once() -> None:
    log = [an_entry(entry_id="e1", sequence=1), an_entry(entry_id="e1", sequence=1)]
    twice = [*log, an_entry(entry_id="e2", sequence=2)]

    assert unaudited_changes(log, accepted_requests=["r1"]) == []
    assert unaudited_changes(log, accepted_requests=["r1", "r2"]) == ["request r2 has no audit entry"]
    assert unaudited_changes(twice, accepted_requests=["r1"]) == [
        "request r1: alias.moved of registered-models/risk has 2 entries"
    ]


def test_the_last_record_of_a_route_must_be_the_registrys_document() -> None:
    records = [a_record(a_route(revision), sequence=revision) for revision in (1, 2)]

    assert broken_routes(records, documents={"shop/risk": a_route(2)}) == []
    assert broken_routes(reversed(records), documents={"shop/risk": a_route(2)}) == [
        "shop/risk: the topic ends with revision 1, the registry says revision 2"
    ]
    assert broken_routes([], documents={"shop/risk": a_route(1)}) != []


def test_an_answer_from_before_a_known_purge_is_stale() -> None:
    assert stale_answers([an_answer(floor=3, read=3), an_answer(floor=3, read=4)]) == []
    assert len(stale_answers([an_answer(floor=4, read=3)])) == 1


def test_an_answer_of_another_version_than_the_decided_one_is_stale() -> None:
    assert stale_answers([an_answer(answered_by="own/2")]) == ["loan-1: own/1 was decided, own/2 answered"]


def test_an_answer_by_an_older_route_than_before_is_stale() -> None:
    assert stale_answers([an_answer(revision_floor=6)]) == []
    assert len(stale_answers([an_answer(revision_floor=8)])) == 1


def test_an_answer_by_a_version_that_its_route_does_not_have_was_not_decided() -> None:
    version = RoutableVersion(
        version_id="v",
        model="own",
        number=1,
        semver="1.0.0",
        stage=Stage.PRODUCTION,
        scope=Scope.INDUSTRY,
        digest=DIGEST,
    )
    with_it = a_route(7).model_copy(update={"versions": (version,)})

    assert undecided_answers([an_answer()], documents={7: with_it}) == []
    assert len(undecided_answers([an_answer()], documents={7: a_route(7)})) == 1
    assert len(undecided_answers([an_answer()], documents={8: with_it})) == 1


def test_each_shadowed_inference_ends_in_a_fact() -> None:
    inferences = [an_inference("a"), an_inference("b", shadowed=False)]

    assert unfinished_replays(inferences, [a_replay("a"), a_replay("a", event_id="again")]) == []
    assert unfinished_replays(inferences, []) == ["replay of a has no terminal fact"]
    assert unfinished_replays(inferences, [a_replay("a"), a_replay("c")]) == [
        "terminal fact about c, which nobody asked for"
    ]


def test_replays_that_ended_twice_count_once() -> None:
    comparisons = [a_replay("a"), a_replay("a", outcome="failed", event_id="again"), a_replay("b")]

    assert replay_outcomes(comparisons) == {"compared": 2}


def test_the_ledger_counts_what_was_requested_and_adds_up() -> None:
    inferences = [an_inference("a"), an_inference("b"), an_inference("c", shadowed=False)]
    right = LedgerLine(requested=2, compared=1, failed=1, expired=0, dropped=0)
    open_one = LedgerLine(requested=2, compared=1, failed=0, expired=0, dropped=0)
    too_many = LedgerLine(requested=3, compared=3, failed=0, expired=0, dropped=0)

    assert wrong_ledger(right, inferences=inferences) == []
    assert wrong_ledger(open_one, inferences=inferences) == ["the ledger does not add up: 2 requested, 1 ended"]
    assert wrong_ledger(too_many, inferences=inferences) == ["the ledger counts 3 requested replays, 2 were"]


def test_gaps_in_a_sources_sequence_count_its_losses() -> None:
    assert lost_facts([an_inference("a", sequence=1), an_inference("b", sequence=2)]) == {}
    assert lost_facts([an_inference("a", sequence=1), an_inference("b", sequence=4)]) == {"/router/1": 2}


def test_gaps_of_an_earlier_story_are_not_counted() -> None:
    earlier, first, last = (an_inference(str(number), sequence=number) for number in (1, 5, 7))

    assert lost_facts([earlier, first, last], since=[first, last]) == {"/router/1": 1}


def test_a_unit_sees_one_variant_and_each_exposure_counts_once() -> None:
    once = an_exposure("1", unit="u1", variant="control")
    other = an_exposure("2", unit="u2", variant="treatment")
    unsteady = an_exposure("3", unit="u1", variant="treatment")

    assert exposures_by_variant([once, once, other], experiment_id="e1") == {"control": 1, "treatment": 1}
    assert unsteady_units([once, other], experiment_id="e1") == []
    assert unsteady_units([once, unsteady], experiment_id="e1") == ["unit u1 got ['control', 'treatment']"]
