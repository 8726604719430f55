"""Group commit: which items share a commit, which are committed alone, and what each caller is answered."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from modelyard_registry.transactions import group_commit
from modelyard_registry.transactions.database import DatabaseUnavailableError
from modelyard_registry.transactions.group_commit import IN_FLIGHT_MAX, GroupCommit, Locked, Results, TooBusyError

BAD = "bad"
HELD = "held"


class Ledger:
    """A place to commit to: each item is `key/name`; commits wait while the gate is shut."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.released = asyncio.Event()
        self.batches: list[list[str]] = []
        self.at_once: set[str] = set()
        self.is_away = False

    async def grouped(self, items: Sequence[str]) -> Results[str]:
        """Commit a batch; a key that is held elsewhere is locked."""
        self.batches.append(list(items))
        keys = {_key(item) for item in items}
        assert not keys & self.at_once, "two commits at once with one key"
        self.at_once |= keys
        try:
            await self.gate.wait()
        finally:
            self.at_once -= keys
        if self.is_away:
            raise DatabaseUnavailableError("away", fix="wait")
        if any(item.endswith(BAD) for item in items):
            raise ValueError("cannot be stored")
        return [Locked.LOCKED if _key(item) == HELD and not self.released.is_set() else item.upper() for item in items]

    async def waiting(self, items: Sequence[str]) -> Results[str]:
        """Commit a batch, after waiting for the lock of its key."""
        if _key(items[0]) == HELD:
            await self.released.wait()
        return await self.grouped(items)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
async def commits(ledger: Ledger) -> AsyncIterator[GroupCommit[str, str]]:
    commits = GroupCommit[str, str](ledger.grouped, ledger.waiting)
    async with commits.open():
        yield commits
        ledger.gate.set()
        ledger.released.set()


async def test_what_arrives_while_commits_are_under_way_shares_the_next_one(
    ledger: Ledger, commits: GroupCommit[str, str]
) -> None:
    ledger.gate.clear()
    first = [await _begun(commits, f"{number}/first") for number in range(IN_FLIGHT_MAX)]
    more = [_submit(commits, f"more-{number}/x") for number in range(10)]
    await asyncio.sleep(0)

    ledger.gate.set()

    assert await asyncio.gather(*first, *more)
    assert [len(batch) for batch in ledger.batches] == [1] * IN_FLIGHT_MAX + [10]


async def test_what_arrives_alone_begins_at_once(ledger: Ledger, commits: GroupCommit[str, str]) -> None:
    assert await _submit(commits, "a/1") == "A/1"
    assert await _submit(commits, "a/2") == "A/2"
    assert ledger.batches == [["a/1"], ["a/2"]]


async def test_items_of_one_key_keep_their_order_and_are_never_in_two_commits_at_once(
    ledger: Ledger, commits: GroupCommit[str, str]
) -> None:
    ledger.gate.clear()
    answers = [await _begun(commits, "a/0"), *(_submit(commits, f"a/{number}") for number in range(1, 5))]
    other = await _begun(commits, "b/0")

    ledger.gate.set()

    await asyncio.gather(*answers, other)
    assert ledger.batches == [["a/0"], ["b/0"], ["a/1", "a/2", "a/3", "a/4"]]


async def test_a_key_that_is_held_elsewhere_holds_up_its_own_items_only(
    ledger: Ledger, commits: GroupCommit[str, str]
) -> None:
    held = _submit(commits, f"{HELD}/1")
    others = [_submit(commits, f"{number}/x") for number in range(5)]

    assert await asyncio.gather(*others) == [f"{number}/X" for number in range(5)]
    assert not held.done()
    ledger.released.set()

    assert await held == "HELD/1"


async def test_an_item_that_spoils_its_batch_fails_alone(commits: GroupCommit[str, str]) -> None:
    answers = await asyncio.gather(
        *(_submit(commits, item) for item in ("a/1", f"a/{BAD}", "a/2", "b/1")), return_exceptions=True
    )

    assert [answers[0], *answers[2:]] == ["A/1", "A/2", "B/1"]
    assert isinstance(answers[1], ValueError)


async def test_a_database_that_is_away_fails_everybody_without_being_asked_again(
    ledger: Ledger, commits: GroupCommit[str, str]
) -> None:
    ledger.is_away = True

    answers = await asyncio.gather(*(_submit(commits, f"{number}/x") for number in range(5)), return_exceptions=True)

    assert all(isinstance(answer, DatabaseUnavailableError) for answer in answers)
    assert len(ledger.batches) == 1


async def test_a_caller_who_stops_waiting_harms_nobody(ledger: Ledger, commits: GroupCommit[str, str]) -> None:
    ledger.gate.clear()
    begun = await _begun(commits, "a/begun")
    waiting, neighbour = _submit(commits, "a/waiting"), _submit(commits, "a/neighbour")
    await asyncio.sleep(0)

    begun.cancel()
    waiting.cancel()
    ledger.gate.set()

    assert await neighbour == "A/NEIGHBOUR"
    assert ledger.batches == [["a/begun"], ["a/neighbour"]]


async def test_more_than_can_wait_is_refused_at_once(
    ledger: Ledger, commits: GroupCommit[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "WAITING_MAX", 3)
    ledger.gate.clear()
    begun = await _begun(commits, "a/0")
    waiting = [_submit(commits, f"a/{number}") for number in range(1, 4)]
    await asyncio.sleep(0)

    with pytest.raises(TooBusyError):
        await _submit(commits, "a/4")

    ledger.gate.set()
    assert len(await asyncio.gather(begun, *waiting)) == 4


async def test_closing_finishes_what_was_taken(ledger: Ledger) -> None:
    commits = GroupCommit[str, str](ledger.grouped, ledger.waiting)
    async with commits.open():
        ledger.gate.clear()
        answers = [_submit(commits, f"a/{number}") for number in range(3)]
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(ledger.gate.set)

    assert [answer.result() for answer in answers] == ["A/0", "A/1", "A/2"]


async def test_a_batch_is_bounded_by_what_it_carries(ledger: Ledger, commits: GroupCommit[str, str]) -> None:
    half = group_commit.WEIGHT_MAX // 2 + 1

    await asyncio.gather(*(commits.submit(f"{number}/x", key=number, weight=half) for number in range(3)))

    assert [len(batch) for batch in ledger.batches] == [1, 1, 1]


def _key(item: str) -> str:
    return item.partition("/")[0]


def _submit(commits: GroupCommit[str, str], item: str) -> "asyncio.Task[str]":
    return asyncio.create_task(commits.submit(item, key=_key(item), weight=1))


async def _begun(commits: GroupCommit[str, str], item: str) -> "asyncio.Task[str]":
    """Submit an item and return when its commit is under way."""
    task = _submit(commits, item)
    for _ in range(5):
        await asyncio.sleep(0)
    return task
