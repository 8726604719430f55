"""How an endpoint is asked for a prediction, and how its answer is read. Each protocol of endpoints has one class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from modelyard_events.inferences import RequestedOutput
from modelyard_events.routes import RoutableVersion
from modelyard_events.values import Tensor


class InvalidAnswerError(Exception):
    """The answer is not valid in the endpoint's protocol; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceAnswer:
    """An endpoint's answer. What it says about its version and bytes may be absent."""

    model_name: str | None
    model_version: str | int | None
    digest: object
    outputs: tuple[Tensor, ...]

    def is_by(self, version: RoutableVersion) -> bool:
        """Whether nothing in the answer contradicts that this version gave it."""
        return (
            self.model_name in (None, version.model)
            and (self.model_version is None or str(self.model_version) in (str(version.number), version.semver))
            and self.digest in (None, version.digest)
        )


class PredictionProtocol(Protocol):
    """Writes requests to an endpoint and reads its answers; both are JSON."""

    @property
    def title(self) -> str:
        """The protocol's name in texts for people."""
        ...

    def request_body(
        self, tensors: Sequence[Tensor], *, outputs: Sequence[RequestedOutput] = (), inference_id: str
    ) -> bytes:
        """Return the body that asks an endpoint for these outputs, or for all, from these tensors."""
        ...

    def answer_of(self, body: bytes) -> InferenceAnswer:
        """Return the answer in an endpoint's body. Raises InvalidAnswerError."""
        ...
