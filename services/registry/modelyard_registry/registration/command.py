"""The command that registers a version, and what becomes of it."""

from dataclasses import dataclass

from modelyard_events.model_changes import BuildStatus
from modelyard_events.values import ChangeType, Evidence
from modelyard_runtime.problems import InvalidRequestError

from modelyard_registry.models.domain import ModelVersion, SemanticVersion


class RunIdContradictionError(InvalidRequestError):
    """The request and its evidence name different runs."""

    code = "run-id-contradiction"
    when = "`run_id` and `evidence.run_id` differ."
    fix = "Give run_id once, or the same in both places."


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterModelVersion:
    """The command: make `digest` the next version of `model`.

    `semver` is explicit, or `change_type` says how far to step from the highest; neither means `minor`.
    `source` is where the event came from that reports the run, as it says itself.
    """

    project: str
    model: str
    digest: str
    run_id: str | None
    semver: SemanticVersion | None
    change_type: ChangeType | None
    evidence: Evidence
    build_status: BuildStatus = "ready"
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What became of the command. `is_new` is false when the same run and digest had made the version before."""

    version: ModelVersion
    is_new: bool


def decide_run_id(command: RegisterModelVersion) -> str | None:
    """The run that made the version. Raises RunIdContradictionError when two are given."""
    given = {run_id for run_id in (command.run_id, command.evidence.run_id) if run_id is not None}
    if len(given) > 1:
        raise RunIdContradictionError(
            f"run_id is {command.run_id!r}, but evidence.run_id is {command.evidence.run_id!r}."
        )
    return given.pop() if given else None
