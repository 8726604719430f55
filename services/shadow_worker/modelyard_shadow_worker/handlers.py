"""Handles a served inference: replays it on its shadow, and publishes the outcome.

The offset is committed only after the broker has the fact. A worker that was killed therefore repeats the replays that
were under way, and their facts may come twice, with the same `inference_id`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from modelyard_events.inferences import InferenceCompleted, ShadowTarget
from modelyard_events.shadows import ShadowReplayCompleted
from modelyard_events.topics import SHADOW_COMPARISONS
from modelyard_runtime.clock import Clock
from modelyard_runtime.consume import Delivery
from modelyard_runtime.errors import EventTooLargeError
from modelyard_runtime.publish import Publisher

from modelyard_shadow_worker.domain.replay import Replay, ReplayLimits, ReplayOutcome, decide_replay, shadow_of
from modelyard_shadow_worker.domain.terminal_fact import terminal_fact, without_outputs
from modelyard_shadow_worker.metrics import REPLAYS, VERDICTS
from modelyard_shadow_worker.replayer import Replayer


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayHandlers:
    """Replays and publishes. `lag` returns the number of records that wait."""

    replayer: Replayer
    publisher: Publisher
    limits: ReplayLimits
    clock: Clock
    lag: Callable[[], int]

    async def on_inference_completed(self, delivery: Delivery[InferenceCompleted]) -> None:
        """Replay the request and publish the outcome. Raises PublishFailedError while Kafka does not take the fact."""
        event = delivery.event
        shadow = shadow_of(event)
        if shadow is None:
            return
        outcome = await self._outcome_of(delivery, shadow)
        fact = terminal_fact(event, shadow, outcome=outcome)
        try:
            await self._publish(fact, delivery)
        except EventTooLargeError:
            await self._publish(without_outputs(fact), delivery)
        REPLAYS.labels(shadow.model, fact.outcome).inc()
        if fact.verdict is not None:
            VERDICTS.labels(shadow.model, fact.verdict).inc()

    async def _outcome_of(self, delivery: Delivery[InferenceCompleted], shadow: ShadowTarget) -> ReplayOutcome:
        decision = decide_replay(
            delivery.event,
            shadow,
            occurred_at=delivery.envelope.occurred_at,
            now=self.clock(),
            lag=self.lag(),
            limits=self.limits,
        )
        if isinstance(decision, Replay):
            return await self.replayer.replay(delivery.event, shadow, inputs=decision.inputs)
        return decision

    async def _publish(self, fact: ShadowReplayCompleted, delivery: Delivery[InferenceCompleted]) -> None:
        await self.publisher.publish(
            SHADOW_COMPARISONS,
            fact,
            key=delivery.envelope.subject if delivery.key is None else delivery.key.decode(errors="replace"),
            correlation_id=delivery.envelope.correlation_id,
            causation_id=delivery.envelope.id,
            traceparent=delivery.envelope.traceparent,
        )
