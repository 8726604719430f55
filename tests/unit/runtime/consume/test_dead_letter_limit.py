"""Dead letters hold a partition, unless they are few senders' own; a handled record releases it."""

from hypothesis import given
from hypothesis import strategies as st
from modelyard_runtime.consume.allowance import Allowance
from modelyard_runtime.consume.dead_letter_limit import SENDERS_MIN, DeadLetterLimit


class Seconds:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_limit(
    seconds: Seconds | None = None, *, consecutive_max: int = 3, ratio_max: float = 1.0, window: int = 100
) -> DeadLetterLimit:
    return DeadLetterLimit(
        consecutive_max=consecutive_max,
        ratio_max=ratio_max,
        window=window,
        hold_initial_s=5.0,
        hold_max_s=60.0,
        seconds=seconds or Seconds(),
    )


def test_a_row_of_dead_letters_holds_and_a_handled_record_ends_the_row() -> None:
    limit = a_limit()

    for is_dead in (True, True, False, True, True):
        limit.count(is_dead=is_dead)
    assert not limit.is_held
    assert limit.remaining == 1

    limit.count(is_dead=True)
    assert limit.is_held


def test_too_large_a_share_holds_once_the_window_is_full() -> None:
    limit = a_limit(consecutive_max=10, ratio_max=0.5, window=10)

    for number in range(9):
        limit.count(is_dead=number % 3 != 0)
        assert not limit.is_held

    limit.count(is_dead=True)
    assert limit.is_held


def test_one_record_is_tried_after_ever_longer_holds_and_releases_when_it_is_handled() -> None:
    seconds = Seconds()
    limit = a_limit(seconds)
    for _ in range(3):
        limit.count(is_dead=True)

    holds = []
    for _ in range(6):
        holds.append(limit.wait_s)
        seconds.now += limit.wait_s
        assert (limit.wait_s, limit.remaining) == (0.0, 1)
        limit.count(is_dead=True)
    seconds.now += limit.wait_s
    limit.count(is_dead=False)

    assert holds == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert not limit.is_held
    assert limit.wait_s == 0.0
    assert limit.remaining == 3


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["ada", "eve"])), max_size=300))
def test_fewer_senders_than_point_to_a_defect_of_ours_never_hold_a_partition(
    outcomes: list[tuple[bool, str]],
) -> None:
    limit = a_limit(consecutive_max=5, ratio_max=0.1, window=20)

    for is_dead, sender in outcomes:
        limit.count(is_dead=is_dead, sender=sender)
        assert not limit.is_held


def test_the_same_failure_of_many_senders_holds_the_partition() -> None:
    limit = a_limit(consecutive_max=20)

    for number in range(20):
        assert not limit.is_held
        limit.count(is_dead=True, sender=f"sender-{number % SENDERS_MIN}")

    assert limit.is_held


def test_a_sender_whose_records_failed_is_suspect_and_no_other_one_is() -> None:
    limit = a_limit()

    for _ in range(3):
        assert not limit.is_suspect("eve")
        limit.count(is_dead=True, sender="eve")

    assert limit.is_suspect("eve")
    assert not limit.is_suspect("ada")
    assert not limit.is_suspect(None)


@given(
    outcomes=st.lists(st.booleans(), max_size=80),
    consecutive_max=st.integers(1, 10),
    ratio_max=st.floats(0, 1),
    window=st.integers(10, 20),
)
def test_it_agrees_with_the_definition(
    outcomes: list[bool], consecutive_max: int, ratio_max: float, window: int
) -> None:
    limit = a_limit(consecutive_max=consecutive_max, ratio_max=ratio_max, window=window)

    for number, is_dead in enumerate(outcomes, start=1):
        limit.count(is_dead=is_dead)
        last, recent = outcomes[:number][-consecutive_max:], outcomes[:number][-window:]
        is_row = len(last) == consecutive_max and all(last)
        is_share = len(recent) == window and sum(recent) > ratio_max * window
        assert limit.is_held == (is_dead and (is_row or is_share))
        if limit.is_held:
            return


def test_an_allowance_is_so_many_at_once_and_as_many_again_in_a_minute() -> None:
    seconds = Seconds()
    allowance = Allowance(60, seconds=seconds)

    assert sum(allowance.take() for _ in range(100)) == 60
    seconds.now += 10.0
    assert sum(allowance.take() for _ in range(100)) == 10
    seconds.now += 3_600.0
    assert sum(allowance.take() for _ in range(100)) == 60
