"""Floods are summed up: nothing is said more than once a minute, and nothing goes uncounted."""

from datetime import UTC, datetime, timedelta

from modelyard_runtime.sums import Summed, Sums


class Hand:
    """A clock that the test moves."""

    now = datetime(2026, 11, 25, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def test_the_first_of_a_kind_passes_at_once_and_the_rest_of_its_minute_as_one() -> None:
    clock = Hand()
    sums: Sums[str] = Sums(clock=clock)

    first = sums.note("a", "1")
    meanwhile = [*sums.note("a", "2"), *sums.note("a", "3"), *sums.ended()]
    other = sums.note("b", "x")
    clock.now += timedelta(minutes=1)

    assert first == [Summed("1", 1)]
    assert meanwhile == []
    assert other == [Summed("x", 1)]
    assert sums.ended() == [Summed("3", 2)]
    assert sums.ended() == []


def test_a_new_minute_says_the_sum_of_the_last_one_first() -> None:
    clock = Hand()
    sums: Sums[str] = Sums(clock=clock)
    sums.note("a", "1")
    sums.note("a", "2")
    clock.now += timedelta(minutes=2)

    assert sums.note("a", "3") == [Summed("2", 1), Summed("3", 1)]


def test_too_many_kinds_and_the_end_of_the_process_lose_no_count() -> None:
    sums: Sums[int] = Sums(clock=Hand(), kinds_max=2)

    said = [each for number in range(10) for kind in ("a", "b", "c") for each in sums.note(kind, number)]

    assert sum(each.count for each in [*said, *sums.everything()]) == 30
    assert sums.everything() == []
