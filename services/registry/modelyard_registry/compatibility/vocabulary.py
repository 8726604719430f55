"""Which of our words stands for which of theirs. `docs/reference/words.md` tells users the same."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from modelyard_events.values import Stage
from modelyard_runtime.problems import InvalidRequestError

from modelyard_registry.lifecycle.domain import parse_stage
from modelyard_registry.models.domain import SemanticVersion

StageWord = Literal["none", "staging", "production", "archived"]
"""The four stages that the API by ids knows."""

WORD_OF: Mapping[Stage, StageWord] = MappingProxyType(
    {
        Stage.DEVELOPMENT: "none",
        Stage.STAGING: "staging",
        Stage.CANARY: "staging",
        Stage.PRODUCTION: "production",
        Stage.DEPRECATED: "archived",
        Stage.ARCHIVED: "archived",
    }
)
"""What a stage is called there. Six stages have four words, so the way back is a set: see `stages_meant_by`."""


def stages_meant_by(word: str) -> frozenset[Stage]:
    """The stages that a filter's word asks for: one of the four words, or any word for a single stage.

    Raises StageUnknownError.
    """
    lowered = word.strip().lower()
    behind = frozenset(stage for stage, theirs in WORD_OF.items() if theirs == lowered)
    return behind or frozenset({parse_stage(word)})


def parse_semver(text: str) -> SemanticVersion:
    """What `v1.0.0` or `1.0.0` spells. Raises SemverInvalidError."""
    return SemanticVersion.of(text)


def spell_semver(semver: Sequence[int]) -> str:
    """Three parts as they write them: `v1.0.0`."""
    return "v" + ".".join(str(part) for part in semver)


class TagInvalidError(InvalidRequestError):
    """The tags cannot be kept as they are written."""

    code = "tag-invalid"
    when = "A tag has no name, or one tag comes with two values."
    fix = "Write a tag as `urgent`, or with a value as `team=risk`; send each once."


def tags_from(words: Sequence[str]) -> dict[str, str]:
    """Their list of tags as our mapping: `team=risk` has a value, `urgent` an empty one.

    Raises TagInvalidError for a tag without a name, and for two of one name.
    """
    tags: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if not name:
            raise TagInvalidError(
                f"body.tags: {word[:100]!r} has no name.",
                fix="Write a tag as `urgent`, or with a value as `team=risk`.",
            )
        if name in tags:
            raise TagInvalidError(
                f"body.tags: the tag {name[:100]!r} is there twice, as {tags[name][:100]!r} and as {value[:100]!r}.",
                fix="Send it once, with the value that is meant.",
            )
        tags[name] = value
    return tags


def tags_to(tags: Mapping[str, str]) -> list[str]:
    """Our mapping as their list, in the order of the alphabet."""
    return sorted(f"{name}={value}" if value else name for name, value in tags.items())


def tags_instead(words: Sequence[str] | None, *, of: Mapping[str, str]) -> dict[str, str | None]:
    """The merge patch that leaves exactly their tags, where those of the mapping are now."""
    return {**dict.fromkeys(of, None), **tags_from(words or ())}
