"""Work that arrives while a commit is under way shares the next one: singly when it is quiet, together under load.

Items of one key are never worked on twice at a time. Nothing waits for company: what arrives when there is a free
lane begins at once.
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


class Postponed(Enum):
    """What became of an item whose key is held by somebody else: it is not to hold up the others."""

    POSTPONED = "postponed"


Results = Sequence[AnswerT | Exception | Postponed]

LANES = 2
"""Commits at a time: while the database works on one, this process prepares the other."""
PATIENT_MAX = 6
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


class SharedCommits(Generic[ItemT, AnswerT]):
    """Collects items and has them worked off in batches.

    `together` commits a batch and answers each item's result, or an error, or Postponed when somebody else holds
    its key. `patiently` does the same for items of one key, and waits for whoever holds it. An error that either
    raises means that nothing was kept; then `patiently` is given the items one by one, unless the database is away.
    """

    def __init__(
        self,
        together: Callable[[Sequence[ItemT]], Awaitable[Results[AnswerT]]],
        patiently: Callable[[Sequence[ItemT]], Awaitable[Results[AnswerT]]],
    ) -> None:
        self._together = together
        self._patiently = patiently
        self._waiting: deque[_Waiting[ItemT, AnswerT]] = deque()
        self._busy: set[Hashable] = set()
        self._lanes = LANES
        self._patience = asyncio.Semaphore(PATIENT_MAX)
        self._tasks: asyncio.TaskGroup | None = None
        self._is_called = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take items during the block; at its end, what was taken is still worked off."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                yield
                self._begin()
        finally:
            self._tasks = None

    async def submit(self, item: ItemT, *, key: Hashable, weight: int) -> AnswerT:
        """What became of `item`, after its commit; raises what its work raised.

        Whoever stops waiting harms nobody: the item is dropped if it has not begun, and finished if it has. Raises
        TooBusyError when too much waits.
        """
        if self._tasks is None:
            raise RuntimeError("SharedCommits takes items only while it is open")
        if len(self._waiting) >= WAITING_MAX:
            raise _too_busy()
        loop = asyncio.get_running_loop()
        waiting: _Waiting[ItemT, AnswerT] = _Waiting(item, key, weight, loop.create_future())
        self._waiting.append(waiting)
        if not self._is_called:
            # Not at once: what arrives in the same turn of the loop belongs together.
            self._is_called = True
            loop.call_soon(self._begin)
        return await waiting.answer

    def _begin(self) -> None:
        self._is_called = False
        while self._lanes and self._tasks is not None and (batch := self._take()):
            self._lanes -= 1
            self._tasks.create_task(self._work_off(batch))

    def _take(self) -> list[_Waiting[ItemT, AnswerT]]:
        """What goes into the next commit, in the order of arrival; the rest goes on waiting."""
        batch: list[_Waiting[ItemT, AnswerT]] = []
        weight = 0
        passed: deque[_Waiting[ItemT, AnswerT]] = deque()
        # A key that was passed over once is passed over to the end: its items keep their order.
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
        left = await self._try(self._together, batch)
        keys = {each.key for each in left}
        self._busy.difference_update({each.key for each in batch} - keys)
        self._lanes += 1
        if self._tasks is not None:
            for key in keys:
                self._tasks.create_task(self._wait_and_work_off([each for each in left if each.key == key], key=key))
        self._begin()

    async def _wait_and_work_off(self, batch: Sequence[_Waiting[ItemT, AnswerT]], *, key: Hashable) -> None:
        async with self._patience:
            left = await self._try(self._patiently, batch)
            for each in left:
                if await self._try(self._patiently, [each]):
                    each.answer.set_exception(_too_busy())
        self._busy.discard(key)
        self._begin()

    async def _try(
        self, work: Callable[[Sequence[ItemT]], Awaitable[Results[AnswerT]]], batch: Sequence[_Waiting[ItemT, AnswerT]]
    ) -> list[_Waiting[ItemT, AnswerT]]:
        """Work on a batch and answer those who wait; the items that are to be tried again by themselves."""
        try:
            results = await work([each.item for each in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, DatabaseUnavailableError):
                return list(batch)
            results = [error] * len(batch)
        for each, result in zip(batch, results, strict=True):
            if each.answer.done() or isinstance(result, Postponed):
                continue
            if isinstance(result, Exception):
                each.answer.set_exception(result)
            else:
                each.answer.set_result(result)
        return [each for each, result in zip(batch, results, strict=True) if isinstance(result, Postponed)]


def _too_busy() -> TooBusyError:
    return TooBusyError(
        "Too many changes are waiting to be written; this one was not taken.", fix="Send it again in a moment."
    )
