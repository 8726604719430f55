"""Semantic versions that mean something: how the features of two versions differ decides how large a step must be.

A caller who sends what the lower version took must be answered by the higher one, unless the major number says
otherwise. So a feature that is removed or retyped is a major change, and one that is added a minor one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelyard_events.values import ChangeType, Feature
from modelyard_runtime.problems import ConflictError

from modelyard_registry.models.domain import SemanticVersion, decide_semver

_SIZES = {ChangeType.PATCH: 0, ChangeType.MINOR: 1, ChangeType.MAJOR: 2}
NAMES_SHOWN_MAX = 20


class SemverTooSmallError(ConflictError):
    """The features changed more than the semantic version says."""

    code = "semver-too-small"
    when = "Inputs or outputs changed more than the step of the semantic version says."
    fix = "Give the `change_type` or the `semver` that `fix` names."


@dataclass(frozen=True, slots=True, kw_only=True)
class Retyped:
    """A feature that both versions take, as another type."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDifference:
    """What is different about the features of a higher version, each in the order of names."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    retyped: tuple[Retyped, ...]

    @property
    def demands(self) -> ChangeType:
        """The smallest change type that is honest about it."""
        if self.removed or self.retyped:
            return ChangeType.MAJOR
        return ChangeType.MINOR if self.added else ChangeType.PATCH

    def document(self) -> dict[str, Any]:
        """The difference for a problem document, at most `NAMES_SHOWN_MAX` names of each kind."""
        return {
            "added": self.added[:NAMES_SHOWN_MAX],
            "removed": self.removed[:NAMES_SHOWN_MAX],
            "retyped": [
                {"name": each.name, "before": each.before, "after": each.after}
                for each in self.retyped[:NAMES_SHOWN_MAX]
            ],
            "demands": self.demands,
        }


def difference_of(before: Sequence[Feature], after: Sequence[Feature]) -> FeatureDifference:
    """How the features `after` differ from those `before`; their order means nothing."""
    old = {feature.name: feature.datatype for feature in before}
    new = {feature.name: feature.datatype for feature in after}
    return FeatureDifference(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        retyped=tuple(
            Retyped(name=name, before=old[name], after=new[name])
            for name in sorted(old.keys() & new.keys())
            if old[name] != new[name]
        ),
    )


def step_between(lower: SemanticVersion, higher: SemanticVersion) -> ChangeType:
    """How large a step leads from `lower` to `higher`: the first number that differs names it."""
    if higher.major != lower.major:
        return ChangeType.MAJOR
    return ChangeType.MINOR if higher.minor != lower.minor else ChangeType.PATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class LowerVersion:
    """The next lower semantic version that declares its features."""

    number: int
    semver: SemanticVersion
    features: tuple[Feature, ...]


def is_large_enough(semver: SemanticVersion, *, lower: LowerVersion | None, features: Sequence[Feature]) -> bool:
    """Whether the step from `lower` to `semver` is honest; true when there is nothing to compare with."""
    if lower is None or not features:
        return True
    demanded = difference_of(lower.features, features).demands
    return _SIZES[step_between(lower.semver, semver)] >= _SIZES[demanded]


def decide_unnamed_semver(
    *, highest: SemanticVersion | None, lower: LowerVersion | None, features: Sequence[Feature]
) -> SemanticVersion:
    """The semantic version for a caller who names none and no change type: a minor step, or major if it must be.

    Raises SemverExhaustedError.
    """
    minor = decide_semver(explicit=None, change_type=ChangeType.MINOR, highest=highest)
    if is_large_enough(minor, lower=lower, features=features):
        return minor
    return decide_semver(explicit=None, change_type=ChangeType.MAJOR, highest=highest)


def refuse_small_step(
    semver: SemanticVersion, *, model: str, lower: LowerVersion | None, features: Sequence[Feature]
) -> None:
    """Raise SemverTooSmallError, with the difference, unless the step to `semver` is honest."""
    if lower is None or is_large_enough(semver, lower=lower, features=features):
        return
    difference = difference_of(lower.features, features)
    smallest = lower.semver.after(difference.demands)
    raise SemverTooSmallError(
        f"{model} {semver} is a {step_between(lower.semver, semver)} step from {lower.semver} (version"
        f" {lower.number}), but {_in_words(difference)}: that is a {difference.demands} change.",
        fix=f"Give `change_type` {difference.demands}, or a `semver` of {smallest} or above.",
        against={"number": lower.number, "semver": str(lower.semver)},
        difference=difference.document(),
    )


def _in_words(difference: FeatureDifference) -> str:
    retyped = [f"{each.name} from {each.before} to {each.after}" for each in difference.retyped]
    return "; ".join(
        f"{verb} {', '.join(names[:NAMES_SHOWN_MAX])}"
        for verb, names in (
            ("it removes", difference.removed),
            ("it retypes", retyped),
            ("it adds", difference.added),
        )
        if names
    )
