"""What the handlers need from the world: somebody who asks a shadow."""

from dataclasses import dataclass
from typing import Protocol

from modelyard_events.inferences import RequestedOutput, ShadowTarget
from modelyard_events.values import Tensor


class ShadowUnavailableError(Exception):
    """The shadow did not answer, or said that it cannot now: asking again may help."""


class ShadowAnswerError(Exception):
    """The shadow's answer is of no use, and would be none the next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the shadow predicted, and how long it took over it."""

    outputs: tuple[Tensor, ...]
    latency_ms: float


class Shadow(Protocol):
    """Asks the endpoint of a shadow."""

    async def infer(
        self,
        shadow: ShadowTarget,
        inputs: tuple[Tensor, ...],
        *,
        outputs: tuple[RequestedOutput, ...] = (),
        request_id: str,
        timeout_s: float,
    ) -> Answer:
        """These outputs of that very version's prediction, or all.

        Raises ShadowUnavailableError or ShadowAnswerError.
        """
        ...
