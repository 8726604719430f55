"""Retries unexpected errors up to `attempts_max`, transient errors forever, permanent errors never."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from modelyard_runtime.clock import Clock
from modelyard_runtime.consume.metrics import RETRIES
from modelyard_runtime.consume.policy import ConsumePolicy
from modelyard_runtime.errors import PermanentError, TransientError

log = structlog.get_logger()


class StoppedError(Exception):
    """The partition was given up while waiting for the next attempt. What was tried stays undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a record was given up."""

    reason: str
    detail: str
    attempts: int
    first_failed_at: datetime
    last_failed_at: datetime


class Retries:
    """Tries until it works, is given up, or `stopping` is set.

    `on_change` is called when there is trouble and when it is over, so that the partition can be paused.
    """

    def __init__(
        self,
        *,
        topic: str,
        group: str,
        policy: ConsumePolicy,
        clock: Clock,
        stopping: asyncio.Event,
        on_change: Callable[[], None],
    ) -> None:
        self._topic = topic
        self._group = group
        self._policy = policy
        self._clock = clock
        self._stopping = stopping
        self._on_change = on_change
        self._troubles: dict[object, tuple[float, str]] = {}

    @property
    def trouble(self) -> str | None:
        """What is being retried at the moment, as a sentence; None when nothing is."""
        return next((sentence for _, sentence in self._troubles.values()), None)

    @property
    def trouble_s(self) -> float:
        """For how long something has been retried without success; 0 when nothing is."""
        began_s = min((began_s for began_s, _ in self._troubles.values()), default=None)
        return 0.0 if began_s is None else asyncio.get_running_loop().time() - began_s

    def failed(self, reason: str, detail: str) -> Failure:
        """The failure of a record that is given up at first sight."""
        now = self._clock()
        return Failure(reason=reason, detail=detail, attempts=1, first_failed_at=now, last_failed_at=now)

    async def attempt(
        self, action: Callable[[int], Awaitable[None]], *, attempts_max: int | None = None
    ) -> Failure | None:
        """Run `action(attempt)` until it succeeds (None) or is given up (a Failure).

        `attempts_max` bounds unexpected errors; the policy's bound is the default. Raises StoppedError.
        """
        unexpected_max = attempts_max or self._policy.attempts_max
        first_failed_at: datetime | None = None
        unexpected = number = 0
        token = object()
        try:
            while True:
                number += 1
                try:
                    await action(number)
                    return None
                except (Exception, asyncio.CancelledError) as error:
                    if _is_cancelled_by_us(error):
                        raise
                    now = self._clock()
                    first_failed_at = first_failed_at or now
                    is_transient = isinstance(error, TransientError)
                    unexpected += not is_transient
                    if isinstance(error, PermanentError) or unexpected >= unexpected_max:
                        return _failure(error, attempts=number, first=first_failed_at, last=now)
                    cause = "transient" if is_transient else "unexpected"
                    await self._wait(number, error, cause=cause, token=token)
        finally:
            self._forget(token)

    async def insist(self, action: Callable[[], Awaitable[None]], *, cause: str) -> None:
        """Run `action` until it succeeds, whatever it raises. Raises StoppedError."""
        number = 0
        token = object()
        try:
            while True:
                number += 1
                try:
                    return await action()
                except (Exception, asyncio.CancelledError) as error:
                    if _is_cancelled_by_us(error):
                        raise
                    await self._wait(number, error, cause=cause, token=token)
        finally:
            self._forget(token)

    async def _wait(self, number: int, error: BaseException, *, cause: str, token: object) -> None:
        wait_s = self._policy.backoff_s(number)
        RETRIES.labels(self._topic, self._group, cause).inc()
        log.warning(
            "attempt_failed",
            topic=self._topic,
            group=self._group,
            cause=cause,
            attempt=number,
            retry_after_s=wait_s,
            error=f"{type(error).__name__}: {error}",
        )
        began_s, _ = self._troubles.get(token, (asyncio.get_running_loop().time(), ""))
        self._troubles[token] = (began_s, f"{cause}, attempt {number}: {type(error).__name__}: {error}")
        self._on_change()
        try:
            async with asyncio.timeout(wait_s):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise StoppedError

    def _forget(self, token: object) -> None:
        if self._troubles.pop(token, None) is not None:
            self._on_change()


def _is_cancelled_by_us(error: BaseException) -> bool:
    # A handler's own inner cancellation leaking out is its failure; ours must go through.
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _failure(error: BaseException, *, attempts: int, first: datetime, last: datetime) -> Failure:
    is_permanent = isinstance(error, PermanentError)
    return Failure(
        reason=error.reason if isinstance(error, PermanentError) else "handler_failed",
        detail=str(error) if is_permanent else f"{type(error).__name__}: {error}",
        attempts=attempts,
        first_failed_at=first,
        last_failed_at=last,
    )
