"""Nobody takes so many of a bounded number of places that the next one finds none."""

from contextlib import ExitStack

import pytest
from modelyard_runtime.shares import Shares, ShareUsedUpError


def take_all(shares: Shares, held: ExitStack, owner: str) -> int:
    """Take places of `owner` until there are none for it; how many that were."""
    for taken in range(10_000):
        try:
            held.enter_context(shares.holding(owner))
        except ShareUsedUpError:
            return taken
    raise AssertionError("there is no bound")


def test_each_owner_leaves_as_many_places_as_it_takes() -> None:
    shares = Shares(places=512)
    with ExitStack() as held:
        taken = [take_all(shares, held, owner) for owner in "abcd"]

    assert taken == [256, 128, 64, 32]


def test_late_owners_find_a_few_places_while_there_are_any() -> None:
    shares = Shares(places=64, least=4)
    with ExitStack() as held:
        taken = [take_all(shares, held, f"owner-{number}") for number in range(8)]

    assert taken[:5] == [32, 16, 8, 4, 4]
    assert sum(taken) == 64


def test_a_place_comes_back_when_its_block_ends_however_it_ends() -> None:
    shares = Shares(places=2, least=1)
    for _ in range(10):
        with pytest.raises(RuntimeError), shares.holding("a"):
            raise RuntimeError

    with shares.holding("a"), pytest.raises(ShareUsedUpError, match="a"), shares.holding("a"):
        pass


def test_nobody_holds_more_than_the_most() -> None:
    shares = Shares(places=512, most=10)
    with ExitStack() as held:
        assert take_all(shares, held, "a") == 10
