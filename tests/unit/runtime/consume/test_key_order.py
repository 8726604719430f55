"""Two records of one key are never in flight together, and none overtakes another of its key."""

from collections import defaultdict
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from modelyard_runtime.consume.key_order import KeyScheduler

KEYS = st.one_of(st.none(), st.sampled_from([b"a", b"b", b"c", b"d"]))


def test_one_at_a_time_means_the_partitions_own_order() -> None:
    scheduler = KeyScheduler[int](concurrency_max=1)
    keys = [b"a", b"a", b"b", b"a", b"b", None]
    for offset, key in enumerate(keys):
        scheduler.offer(offset, key=key, offset=offset)

    taken = []
    while (next_one := scheduler.take()) is not None:
        assert scheduler.take() is None
        taken.append(next_one)
        scheduler.finish(key=keys[next_one])

    assert taken == [0, 1, 2, 3, 4, 5]


def test_a_blocked_key_does_not_block_the_others() -> None:
    scheduler = KeyScheduler[str](concurrency_max=2)
    for offset, (item, key) in enumerate([("a1", b"a"), ("a2", b"a"), ("b1", b"b"), ("b2", b"b")]):
        scheduler.offer(item, key=key, offset=offset)

    assert scheduler.take() == "a1"
    assert scheduler.take() == "b1"
    scheduler.finish(key=b"b")

    assert scheduler.take() == "b2"


@given(
    keys=st.lists(KEYS, max_size=60),
    concurrency_max=st.integers(1, 8),
    random=st.randoms(use_true_random=False),
)
def test_any_interleaving_keeps_each_keys_order_and_the_bound_and_loses_nothing(
    keys: list[bytes | None], concurrency_max: int, random: Random
) -> None:
    scheduler = KeyScheduler[int](concurrency_max=concurrency_max)
    arriving = list(enumerate(keys))
    in_flight: list[int] = []
    started: dict[bytes | None, list[int]] = defaultdict(list)

    while arriving or in_flight or scheduler.in_flight:
        match random.choice(["offer", "take", "finish"]):
            case "offer" if arriving:
                offset, key = arriving.pop(0)
                scheduler.offer(offset, key=key, offset=offset)
            case "finish" if in_flight:
                offset = in_flight.pop(random.randrange(len(in_flight)))
                scheduler.finish(key=keys[offset])
            case _:
                taken = scheduler.take()
                if taken is not None:
                    assert keys[taken] not in [keys[offset] for offset in in_flight]
                    in_flight.append(taken)
                    started[keys[taken]].append(taken)
        assert len(in_flight) == scheduler.in_flight <= concurrency_max
    while (taken := scheduler.take()) is not None:
        started[keys[taken]].append(taken)
        scheduler.finish(key=keys[taken])

    assert sorted(offset for offsets in started.values() for offset in offsets) == list(range(len(keys)))
    assert all(offsets == sorted(offsets) for offsets in started.values())
