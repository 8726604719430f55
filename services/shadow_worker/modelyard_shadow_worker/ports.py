"""The port through which shadows are asked."""

from dataclasses import dataclass
from typing import Protocol

from modelyard_events.inferences import RequestedOutput, ShadowTarget
from modelyard_events.values import Tensor


class ShadowUnavailableError(Exception):
    """The shadow did not answer, or cannot answer now: another attempt may succeed."""


class ShadowAnswerError(Exception):
    """The shadow's answer is not usable, and would not be at another attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowAnswer:
    """The outputs that the shadow predicted, and how long that took."""

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
    ) -> ShadowAnswer:
        """Return these outputs of the version's prediction, or all.

        Raises ShadowUnavailableError or ShadowAnswerError.
        """
        ...
