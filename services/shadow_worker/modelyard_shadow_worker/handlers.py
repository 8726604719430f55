"""What happens when an inference was served: its shadow is asked, and the end of that is published.

The offset moves on only when the broker has the fact. So a worker that is killed replays again what it
had under way, and the fact may come twice: `inference_id` tells.
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

from modelyard_shadow_worker.domain.ledger import terminal_fact, without_outputs
from modelyard_shadow_worker.domain.replay import End, Limits, Replay, decide_replay, shadow_of
from modelyard_shadow_worker.metrics import REPLAYS, VERDICTS
from modelyard_shadow_worker.replayer import Replayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """Replays and publishes. `lag` answers how many records wait."""

    replayer: Replayer
    publisher: Publisher
    limits: Limits
    clock: Clock
    lag: Callable[[], int]

    async def on_inference_completed(self, delivery: Delivery[InferenceCompleted]) -> None:
        """Bring the replay to its one end. Raises PublishFailedError while Kafka does not take the fact."""
        event = delivery.event
        shadow = shadow_of(event)
        if shadow is None:
            return
        end = await self._end_of(delivery, shadow)
        fact = terminal_fact(event, shadow, end=end)
        try:
            await self._publish(fact, delivery)
        except EventTooLargeError:
            await self._publish(without_outputs(fact), delivery)
        REPLAYS.labels(shadow.model, fact.outcome).inc()
        if fact.verdict is not None:
            VERDICTS.labels(shadow.model, fact.verdict).inc()

    async def _end_of(self, delivery: Delivery[InferenceCompleted], shadow: ShadowTarget) -> End:
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
