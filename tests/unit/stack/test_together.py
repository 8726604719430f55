"""A server that does not start is told by its own sentence, on every version of Python."""

import asyncio

import pytest
from modelyard_stack import StackError
from modelyard_stack.together import do_together


async def failing(error: Exception) -> None:
    raise error


async def waiting(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("waiting")


async def test_a_failure_comes_alone_and_ends_the_rest() -> None:
    ended: list[str] = []

    with pytest.raises(StackError, match="kafka ended") as caught:
        await do_together([waiting(ended), failing(StackError("kafka ended"))])

    assert type(caught.value) is StackError
    assert ended == ["waiting"]
    assert caught.value.__suppress_context__


async def test_a_failure_in_a_group_of_a_group_comes_alone_too() -> None:
    with pytest.raises(StackError, match="inner"):
        await do_together([do_together([failing(StackError("inner"))]), failing(StackError("inner, later"))])


async def test_a_bug_is_not_hidden_behind_a_failure() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await do_together([failing(StackError("kafka ended")), failing(ZeroDivisionError())])

    assert {type(error) for error in caught.value.exceptions} == {StackError, ZeroDivisionError}
