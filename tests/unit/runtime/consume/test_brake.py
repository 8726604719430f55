"""The brake trips on a row or a share of dead letters, and stays tripped."""

from hypothesis import given
from hypothesis import strategies as st
from modelyard_runtime.consume.brake import Brake


def test_it_trips_at_the_given_number_in_a_row_and_not_before() -> None:
    brake = Brake(consecutive_max=3, ratio_max=1.0, window=100)

    for is_dead in (True, True, False, True, True):
        brake.count(is_dead=is_dead)
    assert not brake.is_on
    assert brake.remaining == 1

    brake.count(is_dead=True)
    assert brake.is_on


def test_a_share_counts_only_once_the_window_is_full() -> None:
    brake = Brake(consecutive_max=100, ratio_max=0.5, window=10)

    for number in range(9):
        brake.count(is_dead=number % 3 != 0)
        assert not brake.is_on

    brake.count(is_dead=True)
    assert brake.is_on


def test_exactly_the_allowed_share_is_allowed() -> None:
    brake = Brake(consecutive_max=100, ratio_max=0.5, window=10)

    for number in range(1_000):
        brake.count(is_dead=number % 2 == 0)

    assert not brake.is_on


def test_it_stays_on_whatever_comes_after() -> None:
    brake = Brake(consecutive_max=1, ratio_max=0.5, window=10)
    brake.count(is_dead=True)

    for _ in range(100):
        brake.count(is_dead=False)

    assert brake.is_on


@given(
    outcomes=st.lists(st.booleans(), max_size=80),
    consecutive_max=st.integers(1, 10),
    ratio_max=st.floats(0, 1),
    window=st.integers(1, 20),
)
def test_it_agrees_with_the_definition(
    outcomes: list[bool], consecutive_max: int, ratio_max: float, window: int
) -> None:
    brake = Brake(consecutive_max=consecutive_max, ratio_max=ratio_max, window=window)
    should_be_on = False

    for number, is_dead in enumerate(outcomes, start=1):
        brake.count(is_dead=is_dead)
        last, recent = outcomes[:number][-consecutive_max:], outcomes[:number][-window:]
        is_row = len(last) == consecutive_max and all(last)
        is_share = len(recent) == window and sum(recent) > ratio_max * window
        should_be_on = should_be_on or is_row or is_share
        assert brake.is_on == should_be_on
