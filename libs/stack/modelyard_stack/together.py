"""Work done at once, of which the first failure is told as itself and not as a group."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

from modelyard_stack.errors import StackError


async def do_together(works: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Do everything at once; when something fails, cancel the rest.

    Raises the first `StackError` alone: one sentence says more than a traceback of groups. Anything else is a bug,
    and comes as the group that it is.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as failures:
        # Not `except*`: what is raised in there comes out as a group again, on some versions of Python.
        expected, unexpected = failures.split(StackError)
        if expected is None or unexpected is not None:
            raise
        raise _first_of(expected) from None


def _first_of(failures: ExceptionGroup[StackError]) -> StackError:
    first = failures.exceptions[0]
    return _first_of(first) if isinstance(first, ExceptionGroup) else first
