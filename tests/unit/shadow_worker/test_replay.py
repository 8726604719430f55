"""Which requests are replayed, and with which inputs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modelyard_events.inferences import InferenceCompleted, ShadowTarget
from modelyard_events.values import Endpoint, Feature, Protocol, Tensor
from modelyard_shadow_worker.domain.replay import (
    Dropped,
    Expired,
    Failed,
    Replay,
    ReplayLimits,
    decide_replay,
    shadow_of,
)

START = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
LIMITS = ReplayLimits(freshness_s=60.0, lag_max=100)
AMOUNT = Tensor(name="amount", datatype="FP64", shape=(1,), data=[1.5])
TERM = Tensor(name="term", datatype="INT64", shape=(1,), data=[36])


def a_target(**declared: str) -> ShadowTarget:
    inputs = tuple(Feature.model_validate({"name": name, "datatype": each}) for name, each in declared.items())
    endpoint = Endpoint(url="http://127.0.0.1:9/infer", protocol=Protocol.OPEN_INFERENCE_V2, inputs=inputs)
    return ShadowTarget(version_id="v", model="everyone", number=1, digest="sha256:" + "0" * 64, endpoint=endpoint)


def an_event(**changes: Any) -> InferenceCompleted:
    values: dict[str, Any] = {"outcome": "served", "version_matched": True, "shadow": a_target(), "inputs": (AMOUNT,)}
    return InferenceCompleted.model_construct(**{**values, **changes})


def decide(
    *, inputs: tuple[Tensor, ...] = (AMOUNT,), shadow: ShadowTarget | None = None, age_s: float = 1.0, lag: int = 0
) -> Replay | Expired | Dropped | Failed:
    return decide_replay(
        an_event(inputs=inputs),
        shadow or a_target(),
        occurred_at=START,
        now=START + timedelta(seconds=age_s),
        lag=lag,
        limits=LIMITS,
    )


def test_an_answer_of_the_decided_version_is_replayed_on_its_shadow() -> None:
    assert shadow_of(an_event()) == a_target()
    assert shadow_of(an_event(shadow=None)) is None


@pytest.mark.parametrize("facts", [{"outcome": "fell_back"}, {"outcome": "failed"}, {"version_matched": False}])
def test_the_answer_of_another_version_is_not_replayed(facts: dict[str, Any]) -> None:
    assert shadow_of(an_event(**facts)) is None


def test_a_request_expires_when_it_is_older_than_the_limit() -> None:
    assert decide(age_s=60.0) == Replay(inputs=(AMOUNT,))
    assert decide(age_s=60.1) == Expired(reason="the request was 60 s old, the limit is 60 s")


def test_a_request_is_dropped_when_more_records_wait_than_the_limit() -> None:
    assert decide(lag=100) == Replay(inputs=(AMOUNT,))
    assert decide(lag=101) == Dropped(reason="101 records were waiting, the limit is 100")


def test_an_old_request_expires_however_many_wait() -> None:
    assert isinstance(decide(age_s=61.0, lag=101), Expired)


def test_a_shadow_that_declares_no_inputs_gets_all_of_them() -> None:
    assert decide(inputs=(TERM, AMOUNT)) == Replay(inputs=(TERM, AMOUNT))


def test_a_shadow_gets_the_inputs_that_it_declares_in_its_order() -> None:
    replay = decide(inputs=(TERM, AMOUNT), shadow=a_target(amount="FP64", term="INT64"))
    less = decide(inputs=(TERM, AMOUNT), shadow=a_target(amount="FP64"))

    assert isinstance(replay, Replay)
    assert [each.name for each in replay.inputs] == ["amount", "term"]
    assert isinstance(less, Replay)
    assert [each.name for each in less.inputs] == ["amount"]


@pytest.mark.parametrize(
    ("inputs", "shadow", "reason"),
    [
        ((), a_target(), "no inputs to replay"),
        ((AMOUNT,), a_target(amount="FP64", term="INT64", purpose="BYTES"), "shadow declares: term, purpose"),
        ((AMOUNT,), a_target(amount="BYTES"), "the inputs do not fit the shadow"),
    ],
)
def test_inputs_that_the_shadow_cannot_take_end_the_replay(
    inputs: tuple[Tensor, ...], shadow: ShadowTarget, reason: str
) -> None:
    failed = decide(inputs=inputs, shadow=shadow)

    assert isinstance(failed, Failed)
    assert reason in failed.reason
