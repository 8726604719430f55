"""Group commit: the items that arrive while commits are in flight share the next commit.

Without load each item is committed alone and at once; under load many share a commit. Two commits in flight never
have items of the same key.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from modelyard_runtime.problems import UnavailableError

from modelyard_registry.transactions.database import DatabaseUnavailableError

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


class Locked(Enum):
    """The result of an item whose key another transaction has locked: the others of its group do not wait for it."""

    LOCKED = "locked"


Results = Sequence[AnswerT | Exception | Locked]

IN_FLIGHT_MAX = 2
"""Group commits at a time: while the database works on one, this process prepares the other."""
LOCK_WAITS_MAX = 6
"""Commits at a time that wait for a lock of another transaction."""
ITEMS_MAX = 64
WEIGHT_MAX = 4_000_000
WAITING_MAX = 2_000


class TooBusyError(UnavailableError):
    """More is waiting to be written than this registry keeps."""

    code = "too-busy"
    when = "The queue of changes that wait for the database is full."
    fix = "Send it again in a moment."


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[ItemT, AnswerT]):
    item: ItemT
    key: Hashable
    weight: int
    answer: "asyncio.Future[AnswerT]"


class GroupCommit(Generic[ItemT, AnswerT]):
    """Collects items and commits them in groups.

    `grouped` commits a group. It returns for each item its result, an error, or Locked when another transaction holds
    the lock of its key. `waiting` commits items of one key and waits for its lock. When either raises an error,
    nothing of the group was kept; then `waiting` gets the items one by one, unless the database is away.
    """

    def __init__(
        self,
        grouped: Callable[[Sequence[ItemT]], Awaitable[Results[AnswerT]]],
        waiting: Callable[[Sequence[ItemT]], Awaitable[Results[AnswerT]]],
    ) -> None:
        self._commit_grouped = grouped
        self._commit_waiting = waiting
        self._waiting: deque[_Waiting[ItemT, AnswerT]] = deque()
        self._busy: set[Hashable] = set()
        self._free = IN_FLIGHT_MAX
        self._lock_waits = asyncio.Semaphore(LOCK_WAITS_MAX)
        self._tasks: asyncio.TaskGroup | None = None
        self._is_called = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take items during the block; at its end, commit those that were taken before returning."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                yield
                self._begin()
        finally:
            self._tasks = None

    async def submit(self, item: ItemT, *, key: Hashable, weight: int) -> AnswerT:
        """Return the item's result after its commit; raise the error that its work raised.

        When the caller stops waiting, the item is dropped if its commit has not begun, and finished if it has.
        Raises TooBusyError when `WAITING_MAX` items wait.
        """
        if self._tasks is None:
            raise RuntimeError("GroupCommit takes items only while it is open")
        if len(self._waiting) >= WAITING_MAX:
            raise _too_busy()
        loop = asyncio.get_running_loop()
        waiting: _Waiting[ItemT, AnswerT] = _Waiting(item, key, weight, loop.create_future())
        self._waiting.append(waiting)
        if not self._is_called:
            # Not at once: the items that arrive in the same turn of the event loop are to share a commit.
            self._is_called = True
            loop.call_soon(self._begin)
        return await waiting.answer

    def _begin(self) -> None:
        self._is_called = False
        while self._free and self._tasks is not None and (batch := self._take()):
            self._free -= 1
            self._tasks.create_task(self._work_off(batch))

    def _take(self) -> list[_Waiting[ItemT, AnswerT]]:
        """The items of the next commit, in the order of arrival; the others go on waiting."""
        batch: list[_Waiting[ItemT, AnswerT]] = []
        weight = 0
        passed: deque[_Waiting[ItemT, AnswerT]] = deque()
        # Once an item of a key is passed over, all later ones of the key are: so they keep their order.
        held = set(self._busy)
        while self._waiting and len(batch) < ITEMS_MAX and weight < WEIGHT_MAX:
            waiting = self._waiting.popleft()
            if waiting.answer.done():
                continue
            if waiting.key in held or (batch and weight + waiting.weight > WEIGHT_MAX):
                held.add(waiting.key)
                passed.append(waiting)
                continue
            batch.append(waiting)
            weight += waiting.weight
        self._waiting.extendleft(reversed(passed))
        self._busy.update(each.key for each in batch)
        return batch

    async def _work_off(self, batch: Sequence[_Waiting[ItemT, AnswerT]]) -> None:
        left = await self._try(self._commit_grouped, batch)
        keys = {each.key for each in left}
        self._busy.difference_update({each.key for each in batch} - keys)
        self._free += 1
        if self._tasks is not None:
            for key in keys:
                self._tasks.create_task(self._wait_and_work_off([each for each in left if each.key == key], key=key))
        self._begin()

    async def _wait_and_work_off(self, batch: Sequence[_Waiting[ItemT, AnswerT]], *, key: Hashable) -> None:
        async with self._lock_waits:
            left = await self._try(self._commit_waiting, batch)
            for each in left:
                if await self._try(self._commit_waiting, [each]):
                    each.answer.set_exception(_too_busy())
        self._busy.discard(key)
        self._begin()

    async def _try(
        self, work: Callable[[Sequence[ItemT]], Awaitable[Results[AnswerT]]], batch: Sequence[_Waiting[ItemT, AnswerT]]
    ) -> list[_Waiting[ItemT, AnswerT]]:
        """Commit a batch and answer its callers; return the items that are to be tried again one by one."""
        try:
            results = await work([each.item for each in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, DatabaseUnavailableError):
                return list(batch)
            results = [error] * len(batch)
        for each, result in zip(batch, results, strict=True):
            if each.answer.done() or isinstance(result, Locked):
                continue
            if isinstance(result, Exception):
                each.answer.set_exception(result)
            else:
                each.answer.set_result(result)
        return [each for each, result in zip(batch, results, strict=True) if isinstance(result, Locked)]


def _too_busy() -> TooBusyError:
    return TooBusyError("Too many changes are waiting to be written; this one was not taken.")
