"""Replays one request: a few attempts within a deadline. Every replay ends in an outcome, whatever happens."""

import asyncio
from dataclasses import dataclass

from modelyard_events.inferences import InferenceCompleted, ShadowTarget
from modelyard_events.values import Tensor

from modelyard_shadow_worker.domain.compare import Tolerance, compare
from modelyard_shadow_worker.domain.replay import Compared, Failed
from modelyard_shadow_worker.metrics import REPLAY_SECONDS, REPLAYS_IN_FLIGHT, RETRIES
from modelyard_shadow_worker.ports import Shadow, ShadowAnswer, ShadowAnswerError, ShadowUnavailableError
from modelyard_shadow_worker.rate_limiter import RateLimiter


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLimits:
    """How long and how often a replay is attempted.

    `deadline_s` bounds one replay with all its attempts and the waits between them. The first wait takes
    `backoff_initial_s`, each further one twice as long as the one before.
    """

    deadline_s: float
    attempts_max: int
    backoff_initial_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayer:
    """Asks the shadow and compares its answer with the served one."""

    shadow: Shadow
    rate_limiter: RateLimiter
    retry_limits: RetryLimits
    tolerance: Tolerance

    async def replay(
        self, event: InferenceCompleted, target: ShadowTarget, *, inputs: tuple[Tensor, ...]
    ) -> Compared | Failed:
        """Return the outcome. A failing endpoint is an outcome too, so that it does not hold up other replays."""
        try:
            with REPLAYS_IN_FLIGHT.track_inprogress():
                answer = await self._ask(event, target, inputs)
        except (ShadowUnavailableError, ShadowAnswerError) as error:
            return Failed(reason=str(error))
        REPLAY_SECONDS.labels(target.model).observe(answer.latency_ms / 1_000)
        return Compared(
            comparison=compare(event.outputs, answer.outputs, tolerance=self.tolerance),
            outputs=answer.outputs,
            latency_ms=answer.latency_ms,
        )

    async def _ask(self, event: InferenceCompleted, target: ShadowTarget, inputs: tuple[Tensor, ...]) -> ShadowAnswer:
        loop = asyncio.get_running_loop()
        give_up_at_s = loop.time() + self.retry_limits.deadline_s
        attempt = 0
        while True:
            attempt += 1
            await self.rate_limiter.wait()
            timeout_s = min(target.endpoint.timeout_s, max(0.001, give_up_at_s - loop.time()))
            try:
                return await self.shadow.infer(
                    target,
                    inputs,
                    outputs=event.requested_outputs,
                    request_id=event.inference_id,
                    timeout_s=timeout_s,
                )
            except ShadowUnavailableError as error:
                wait_s = self.retry_limits.backoff_initial_s * 2.0 ** (attempt - 1)
                if attempt >= self.retry_limits.attempts_max or loop.time() + wait_s >= give_up_at_s:
                    raise ShadowUnavailableError(f"{error} (attempt {attempt}, the last)") from error
                RETRIES.labels(target.model).inc()
                await asyncio.sleep(wait_s)
