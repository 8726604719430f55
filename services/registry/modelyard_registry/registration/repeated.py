"""A run that registers the same artifact again: the same values answer the first version, other values are refused.

Values are compared as they are stored. The order of an object's members, the spelling of a number (1 and 1.0) and the
offset of a moment make no difference. The order of a list does, for features are named in order.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from modelyard_events.values import Evidence
from modelyard_runtime.problems import ConflictError
from pydantic import BaseModel

from modelyard_registry.models.domain import FIRST_SEMVER, ModelVersion, SemanticVersion
from modelyard_registry.registration.command import RegisterModelVersion

DIFFERENCES_TOLD_MAX = 20
FIRST_REVISION = 1


class VersionExistsError(ConflictError):
    """This run registered this artifact already, with other values."""

    code = "version-exists"
    when = "The same run registered the same artifact before, with other values: evidence, `semver` or `change_type`."
    fix = "Send the values of the version that is there to get it as the answer, or name another `run_id`."


def refuse_other_values(
    command: RegisterModelVersion, version: ModelVersion, *, highest_before: SemanticVersion | None
) -> None:
    """Raise VersionExistsError when `command` says something else than what `version` was registered with.

    `version` is what the same run made of the same artifact, `highest_before` the highest semantic version that
    its model had until then.
    """
    differences = list(islice(_differences(command, version, highest_before), DIFFERENCES_TOLD_MAX))
    if not differences:
        return
    raise VersionExistsError(
        f"The run {version.run_id} registered this artifact already, as version {version.number} ({version.semver}),"
        f" with other values of {', '.join(differences)}.",
        fix="Send the values of that version to get it as the answer, or name another `run_id` to register a new one.",
        version=version.number,
        semver=str(version.semver),
        differs=differences,
    )


def _differences(
    command: RegisterModelVersion, version: ModelVersion, highest_before: SemanticVersion | None
) -> Iterator[str]:
    if command.semver is not None:
        if command.semver != version.semver:
            yield "semver"
    elif command.change_type is not None:
        expected = FIRST_SEMVER if highest_before is None else highest_before.after(command.change_type)
        if expected != version.semver:
            yield "change_type"
    # A later revision may have another build status, which has an operation of its own: this is not compared then.
    if version.revision == FIRST_REVISION and command.build_status != version.build_status:
        yield "build_status"
    for name in Evidence.model_fields:
        # The run is the same, whichever of the two places names it.
        if name != "run_id":
            yield from _compare(getattr(command.evidence, name), getattr(version.evidence, name), f"evidence.{name}")


def _compare(sent: Any, stored: Any, path: str) -> Iterator[str]:
    """The paths of the values that differ, down to the members of objects."""
    if isinstance(sent, BaseModel) and isinstance(stored, BaseModel):
        sent, stored = dict(sent), dict(stored)
    if isinstance(sent, Mapping) and isinstance(stored, Mapping):
        for name in sorted(sent.keys() | stored.keys()):
            if name in sent and name in stored:
                yield from _compare(sent[name], stored[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif not _is_same(sent, stored):
        yield path


def _is_same(sent: Any, stored: Any) -> bool:
    if _is_list(sent) and _is_list(stored):
        return len(sent) == len(stored) and all(
            not any(_compare(one, other, "item")) for one, other in zip(sent, stored, strict=True)
        )
    # Python takes true for 1; JSON does not.
    return isinstance(sent, bool) is isinstance(stored, bool) and bool(sent == stored)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
