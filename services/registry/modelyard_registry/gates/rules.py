"""What a policy can demand of a move: one form per gate, as the policy's author writes it."""

from typing import Annotated, Literal

from modelyard_events.exact_values import ExactValue
from pydantic import Field, StringConstraints, model_validator

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Words = Annotated[tuple[ShortText, ...], Field(min_length=1, max_length=50)]
Number = Annotated[float, Field(allow_inf_nan=False)]

Readiness = Literal["endpoint", "model_card", "owner", "rollback_target"]


class Part(ExactValue):
    """A part of a policy. A field that is not known is refused: it is most likely a typing error."""


class PerformanceGate(Part):
    """The evidence's `metric` is at least `min` and at most `max`; the limits themselves pass."""

    gate: Literal["performance"]
    metric: ShortText
    min: Number | None = None
    max: Number | None = None

    @model_validator(mode="after")
    def _refuse_no_limit(self) -> "PerformanceGate":
        if self.min is None and self.max is None:
            raise ValueError("give `min`, `max` or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` is greater than `max`")
        return self


class ChampionGate(Part):
    """No worse than the champion by more than `margin`, relative to the champion's value (0.02 is 2 %).

    `metric` None means the registered model's primary metric, whose direction is known. For a metric whose name
    is not a standard one `higher_is_better` says which way is better.
    """

    gate: Literal["no_worse_than_champion"]
    metric: ShortText | None = None
    higher_is_better: bool | None = None
    margin: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 0.0


class ComplianceGate(Part):
    """The evidence's compliance status is one of `allowed`, in any case of letters."""

    gate: Literal["compliance"]
    allowed: Words = ("compliant", "approved")


class SecurityGate(Part):
    """The artifact is stored and its digest was verified, its format allowed, and a scan passed if one is asked for.

    `formats` None allows every format but those that run code when they are loaded, which `allow_pickle` admits.
    `signed`: what is attached as `signature` must be one of the digest, made with one of the policy's `signature_keys`.
    """

    gate: Literal["security"]
    formats: Words | None = None
    allow_pickle: bool = False
    scan_passed: bool = False
    signed: bool = False


class ReadinessGate(Part):
    """Everything that operators need is there: by default a healthy endpoint, a model card, an owner, a way back."""

    gate: Literal["operational_readiness"]
    needs: Annotated[tuple[Readiness, ...], Field(min_length=1, max_length=4)] = (
        "endpoint",
        "model_card",
        "owner",
        "rollback_target",
    )


class ReviewGate(Part):
    """The version's review status is `approved`."""

    gate: Literal["review_approved"]


class TestsGate(Part):
    """The newest check of the kind `tests`, which a service recorded that did not make the version, passed."""

    gate: Literal["tests_passed"]


GateRule = Annotated[
    PerformanceGate | ChampionGate | ComplianceGate | SecurityGate | ReadinessGate | ReviewGate | TestsGate,
    Field(discriminator="gate"),
]
"""One gate of a move."""
