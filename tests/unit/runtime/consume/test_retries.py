"""How often to try again, how long to wait, and when to give up."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from modelyard_runtime.consume.policy import ConsumePolicy
from modelyard_runtime.consume.retries import Failure, Retries, StoppedError
from modelyard_runtime.errors import PermanentError, TransientError

BEGAN_AT = datetime(2026, 11, 21, tzinfo=UTC)


def some_retries(*, attempts_max: int = 3, backoff_s: float = 0.0) -> tuple[Retries, asyncio.Event]:
    seconds = count()
    stopping = asyncio.Event()
    retries = Retries(
        topic="entity-changes.v1",
        group="test",
        policy=ConsumePolicy(attempts_max=attempts_max, backoff_initial_s=backoff_s, backoff_max_s=backoff_s),
        clock=lambda: BEGAN_AT + timedelta(seconds=next(seconds)),
        stopping=stopping,
        on_change=lambda: None,
    )
    return retries, stopping


def test_the_wait_doubles_up_to_its_maximum_however_long_it_lasts() -> None:
    policy = ConsumePolicy(backoff_initial_s=0.1, backoff_max_s=1.0)

    waits = [policy.backoff_s(attempt) for attempt in (1, 2, 3, 4, 5, 10_000)]

    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


async def test_what_works_at_last_is_no_failure() -> None:
    retries, _ = some_retries()

    async def action(attempt: int) -> None:
        if attempt < 3:
            raise RuntimeError("not yet")

    assert await retries.attempt(action) is None
    assert retries.trouble is None


async def test_a_surprise_is_tried_as_often_as_the_policy_says() -> None:
    retries, _ = some_retries(attempts_max=3)

    async def action(attempt: int) -> None:
        raise KeyError(attempt)

    assert await retries.attempt(action) == Failure(
        reason="handler_failed",
        detail="KeyError: 3",
        attempts=3,
        first_failed_at=BEGAN_AT,
        last_failed_at=BEGAN_AT + timedelta(seconds=2),
    )


async def test_transient_failures_do_not_use_up_the_attempts() -> None:
    retries, _ = some_retries(attempts_max=2)

    async def action(attempt: int) -> None:
        if attempt <= 50:
            raise TransientError
        raise RuntimeError(attempt)

    failure = await retries.attempt(action)

    assert failure is not None
    assert failure.attempts == 52


async def test_a_permanent_failure_is_given_up_at_once() -> None:
    retries, _ = some_retries()

    async def action(attempt: int) -> None:
        raise PermanentError("no such tenant", reason="tenant_missing")

    failure = await retries.attempt(action)

    assert failure is not None
    assert (failure.attempts, failure.reason, failure.detail) == (1, "tenant_missing", "no such tenant")


async def test_stopping_ends_the_wait_without_giving_up() -> None:
    retries, stopping = some_retries(backoff_s=60)
    tried = asyncio.Event()

    async def action(attempt: int) -> None:
        tried.set()
        raise RuntimeError("cannot")

    waiting = asyncio.create_task(retries.attempt(action))
    await tried.wait()
    stopping.set()

    with pytest.raises(StoppedError):
        await waiting


async def test_a_cancellation_that_leaks_out_of_a_handler_is_its_failure_not_our_end() -> None:
    retries, _ = some_retries(attempts_max=2)

    async def action(attempt: int) -> None:
        raise asyncio.CancelledError

    failure = await retries.attempt(action)

    assert failure is not None
    assert failure.detail.startswith("CancelledError")


async def test_being_cancelled_goes_through() -> None:
    retries, _ = some_retries()
    tried = asyncio.Event()

    async def action(attempt: int) -> None:
        tried.set()
        await asyncio.sleep(60)

    running = asyncio.create_task(retries.attempt(action))
    await tried.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


async def test_insisting_never_gives_up_whatever_is_raised() -> None:
    retries, _ = some_retries(attempts_max=1)
    calls = []

    async def action() -> None:
        calls.append(1)
        if len(calls) < 20:
            raise PermanentError("even this")

    await retries.insist(action, cause="parking")

    assert len(calls) == 20
