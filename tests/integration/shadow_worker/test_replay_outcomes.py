"""Every inference with a shadow gets exactly one fact with a replay outcome, whatever fails."""

from collections import Counter
from datetime import timedelta

import pytest
from modelyard_events.codec import Record
from modelyard_events.shadows import ShadowReplayCompleted
from modelyard_events.topics import INFERENCES, SHADOW_COMPARISONS, topic_named
from modelyard_runtime.clock import utc_now

from tests.integration.shadow_worker.conftest import Shadowing
from tests.world.published import events_of
from tests.world.waiting import until

pytestmark = pytest.mark.integration


async def test_the_shadow_is_asked_with_what_it_declares_and_its_answer_is_compared(shadowing: Shadowing) -> None:
    await shadowing.publish(shadowing.inference(1))

    async with shadowing.worker():
        fact = await shadowing.fact()

    ((headers, body),) = shadowing.endpoint.requests
    assert headers["x-modelyard-shadow"] == "true"
    assert [tensor["name"] for tensor in body["inputs"]] == ["amount"]
    assert (fact.outcome, fact.verdict, fact.error) == ("compared", "match", None)
    assert fact.difference == pytest.approx(0.1)
    assert (fact.served.number, fact.shadow.number) == (3, 7)
    assert fact.shadow_latency_ms is not None
    (published,) = await shadowing.topics.published(SHADOW_COMPARISONS)
    assert published.key == "default/risk_scoring/inference-1"


@pytest.mark.parametrize(
    ("way", "says", "times_asked"),
    [
        ("slow", "did not answer within", 2),
        ("down", "503", 2),
        ("refusing", "400", 1),
        ("nonsense", "not JSON", 1),
        ("shapeless", "outputs.0", 1),
        ("other-version", "version 8 answered", 1),
        ("other-digest", "digest", 1),
    ],
)
async def test_a_failing_endpoint_fails_the_replay_with_its_reason(
    shadowing: Shadowing, way: str, says: str, times_asked: int
) -> None:
    await shadowing.publish(shadowing.inference(1, way=way))

    async with shadowing.worker(shadow_attempts_max=2):
        fact = await shadowing.fact()

    assert fact.outcome == "failed"
    assert fact.verdict is None
    assert says in (fact.error or "")
    assert shadowing.endpoint.asked["inference-1"] == times_asked


async def test_a_replay_is_retried_until_the_endpoint_answers(shadowing: Shadowing) -> None:
    shadowing.endpoint.failures_left = 2
    await shadowing.publish(shadowing.inference(1, way="shaky"))

    async with shadowing.worker(shadow_attempts_max=3):
        fact = await shadowing.fact()

    assert fact.outcome == "compared"
    assert shadowing.endpoint.asked["inference-1"] == 3


async def test_each_request_with_a_shadow_has_one_outcome_and_others_have_none(shadowing: Shadowing) -> None:
    good = [shadowing.inference(number) for number in range(20)]
    failing = [shadowing.inference(number, way="refusing") for number in range(20, 25)]
    without_inputs = [shadowing.inference(30, inputs=[good[0].inputs[1]])]
    not_requested = [
        shadowing.inference(40, shadow=None),
        shadowing.inference(41, outcome="fell_back"),
        shadowing.inference(42, outcome="failed", error="x"),
        shadowing.inference(43, version_matched=False),
    ]
    await shadowing.publish(*not_requested, *good, *failing, *without_inputs)
    await shadowing.publish(shadowing.inference(50), occurred_at=utc_now() - timedelta(hours=1))

    async with shadowing.worker():
        facts = list(events_of(await shadowing.facts(count=27), ShadowReplayCompleted))

    assert Counter(fact.outcome for fact in facts) == {"compared": 20, "failed": 6, "expired": 1}
    assert len({fact.inference_id for fact in facts}) == 27
    (missing,) = [fact for fact in facts if fact.inference_id == "inference-30"]
    assert "amount" in (missing.error or "")


async def test_a_worker_with_too_much_lag_drops_the_oldest_requests(shadowing: Shadowing) -> None:
    await shadowing.publish(*(shadowing.inference(number) for number in range(60)))

    async with shadowing.worker(shadow_lag_max=10, shadow_concurrency_max=1):
        facts = list(events_of(await shadowing.facts(count=60), ShadowReplayCompleted))

    outcomes = Counter(fact.outcome for fact in facts)
    assert outcomes["dropped"] > 0
    assert outcomes["dropped"] + outcomes["compared"] == 60


async def test_replays_under_way_when_a_worker_stops_are_repeated_by_the_next(shadowing: Shadowing) -> None:
    inferences = [shadowing.inference(number, way="held", timeout_s=60.0) for number in range(12)]
    await shadowing.publish(*inferences)
    async with shadowing.worker(shadow_deadline_s=60.0):
        await until(lambda: _asked(shadowing), lambda asked: asked == 12)
    assert await shadowing.topics.published(SHADOW_COMPARISONS) == []
    shadowing.endpoint.may_answer.set()

    async with shadowing.worker():
        facts = list(events_of(await shadowing.facts(count=12), ShadowReplayCompleted))

    assert Counter(fact.inference_id for fact in facts) == Counter(each.inference_id for each in inferences)
    assert {fact.outcome for fact in facts} == {"compared"}
    assert set(shadowing.endpoint.asked.values()) == {2}


async def test_an_unreadable_record_is_dead_lettered_and_the_others_are_replayed(shadowing: Shadowing) -> None:
    first = shadowing.inference(1)
    key = b"default/risk_scoring/inference-1"
    await shadowing.send(Record(key=key, value=b"{not json", headers=(("ce_type", None),)))
    await shadowing.publish(first)

    async with shadowing.worker():
        fact = await shadowing.fact()
        dead_lettered = await shadowing.topics.records(topic_named(INFERENCES.dead_letter_name))

    assert fact.inference_id == "inference-1"
    assert [record.value for record in dead_lettered] == [b"{not json"]


async def test_an_endpoint_at_a_refused_address_fails_the_replay(shadowing: Shadowing) -> None:
    await shadowing.publish(shadowing.inference(1))

    async with shadowing.worker(outbound_allow=()):
        fact = await shadowing.fact()

    assert fact.outcome == "failed"
    assert "not allowed" in (fact.error or "")
    assert shadowing.endpoint.requests == []


async def _asked(shadowing: Shadowing) -> int:
    return len(shadowing.endpoint.requests)
