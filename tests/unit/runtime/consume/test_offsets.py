"""Only an unbroken run of done records may be committed, whatever the order they finish in."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelyard_runtime.consume.offsets import OffsetTracker


def test_nothing_may_be_committed_before_the_first_record_is_done() -> None:
    tracker = OffsetTracker()
    tracker.take(5)
    tracker.take(6)

    tracker.finish(6)

    assert tracker.next_offset is None
    assert tracker.oldest_outstanding == 5


def test_the_committable_offset_jumps_over_gaps_in_the_log() -> None:
    tracker = OffsetTracker()
    for offset in (3, 7, 20):
        tracker.take(offset)

    tracker.finish(7)
    tracker.finish(3)

    assert tracker.next_offset == 8
    assert tracker.outstanding == 1


def test_an_offset_that_does_not_rise_is_refused() -> None:
    tracker = OffsetTracker()
    tracker.take(5)

    with pytest.raises(ValueError, match="offset 5 came after 5"):
        tracker.take(5)

    tracker.finish(5)
    with pytest.raises(ValueError, match="offset 4 came after 5"):
        tracker.take(4)


@given(offsets=st.sets(st.integers(0, 10_000), min_size=1, max_size=60), random=st.randoms(use_true_random=False))
def test_every_offset_below_the_committable_one_is_done_and_the_next_is_not(offsets: set[int], random: Random) -> None:
    tracker = OffsetTracker()
    taken = sorted(offsets)
    for offset in taken:
        tracker.take(offset)
    finished: set[int] = set()
    in_some_order = list(taken)
    random.shuffle(in_some_order)

    for offset in in_some_order:
        tracker.finish(offset)
        finished.add(offset)

        first_open = next((offset for offset in taken if offset not in finished), None)
        passed = [offset for offset in taken if first_open is None or offset < first_open]
        assert tracker.next_offset == (passed[-1] + 1 if passed else None)
        assert tracker.oldest_outstanding == first_open
        assert tracker.outstanding == len(taken) - len(passed)
