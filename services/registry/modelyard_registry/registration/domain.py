"""How versions follow each other under one registered model: each is decided by what was there and those before it.

Nothing is written while it is decided: a registration that is refused leaves no trace, and takes no number.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from modelyard_events.model_changes import ModelVersionFacts
from modelyard_events.registry import ModelVersionRegistered
from modelyard_events.values import Evidence, Stage
from modelyard_runtime.problems import ConflictError, InvalidRequestError

from modelyard_registry.models.domain import (
    Improvement,
    ModelVersion,
    SemanticVersion,
    SemverTakenError,
    decide_improvement,
    decide_semver,
)
from modelyard_registry.registration.command import RegisterModelVersion, Registration, decide_run_id
from modelyard_registry.registration.feature_differences import LowerVersion, decide_unnamed_semver, refuse_small_step
from modelyard_registry.registration.repeated import refuse_other_values


class ArtifactNotUploadedError(ConflictError):
    """The artifact was not uploaded to this project."""

    code = "artifact-not-uploaded"
    when = "The version or attachment names a digest that was not uploaded to the project."
    fix = "PUT it first: /api/v1/projects/{project}/artifacts/{digest}"


class ParentNotFoundError(InvalidRequestError):
    """The version that the evidence names as the parent does not exist."""

    code = "parent-not-found"
    when = "`evidence.parent` names a version that the project does not have."
    fix = "Name a version that is registered in this project, or leave `parent` out."


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedModel:
    """A registered model whose lock is held, as far as its next version depends on it."""

    id: UUID
    project: str
    name: str
    primary_metric: str | None
    higher_is_better: bool
    last_number: int
    last_sequence: int
    revision: int
    is_deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedArtifact:
    """What a version says of its artifact."""

    size_bytes: int
    format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What the database holds that one registration depends on.

    `made_before` is the version that the same run made of the same artifact, `highest_before_it` the highest
    semantic version among the ones before it, `taken_by` the number of the one that has the explicit semantic version,
    `lower` the one to compare the features with, `parent` the parent's evidence.
    """

    artifact: UploadedArtifact | None
    made_before: ModelVersion | None
    highest_before_it: SemanticVersion | None
    taken_by: int | None
    highest: SemanticVersion | None
    lower: LowerVersion | None
    parent: Evidence | None


class VersionSeries:
    """A registered model under its lock and the versions that were decided since: the next one counts them all."""

    def __init__(self, model: LockedModel) -> None:
        self.model = model
        self.last_number = model.last_number
        self.last_sequence = model.last_sequence
        self._new: list[ModelVersion] = []

    def decide(
        self, command: RegisterModelVersion, grounds: Grounds, *, version_id: UUID, now: datetime, actor: str
    ) -> Registration:
        """What the command makes: the next version, or the one that the same run made of the same artifact.

        Raises VersionExistsError, ArtifactNotUploadedError, SemverTakenError, SemverTooSmallError,
        SemverExhaustedError, ParentNotFoundError or RunIdContradictionError.
        """
        run_id = decide_run_id(command)
        made_before = self._find_by_run(command, grounds, run_id=run_id)
        if made_before is not None:
            refuse_other_values(command, made_before, highest_before=self._highest_before(made_before, grounds))
            return Registration(version=made_before, is_new=False)
        artifact = _get_artifact(command, grounds)
        semver = self._choose_semver(command, grounds)
        improvement = self._measure_improvement(command, grounds)
        version = ModelVersion(
            id=version_id,
            registered_model_id=self.model.id,
            model=self.model.name,
            number=self.last_number + 1,
            semver=semver,
            stage=Stage.DEVELOPMENT,
            quarantined=False,
            digest=command.digest,
            artifact_bytes=artifact.size_bytes,
            format=artifact.format,
            run_id=run_id,
            evidence=command.evidence,
            improvement=improvement.value,
            improvement_reason=improvement.reason,
            revision=1,
            created_at=now,
            created_by=actor,
            updated_at=now,
            aliases=(),
            build_status=command.build_status,
            facts=_facts_of(command.evidence),
        )
        return Registration(version=version, is_new=True)

    def add(self, version: ModelVersion) -> None:
        """Count a new version, which takes the model's next number and, with its fact, the next sequence."""
        self.last_number = version.number
        self.last_sequence += 1
        self._new.append(version)

    def _find_by_run(
        self, command: RegisterModelVersion, grounds: Grounds, *, run_id: str | None
    ) -> ModelVersion | None:
        if run_id is None or grounds.made_before is not None:
            return grounds.made_before
        return next((each for each in self._new if (each.run_id, each.digest) == (run_id, command.digest)), None)

    def _highest_before(self, version: ModelVersion, grounds: Grounds) -> SemanticVersion | None:
        if version is grounds.made_before:
            return grounds.highest_before_it
        before = [each.semver for each in self._new if each.number < version.number]
        return max((each for each in (grounds.highest, *before) if each is not None), default=None)

    def _choose_semver(self, command: RegisterModelVersion, grounds: Grounds) -> SemanticVersion:
        features = command.evidence.feature_schema
        there = [each for each in (grounds.highest, *(each.semver for each in self._new)) if each is not None]
        highest = max(there, default=None)
        lower = self._find_lower(command, grounds)
        if command.semver is None and command.change_type is None:
            semver = decide_unnamed_semver(highest=highest, lower=lower, features=features)
        else:
            semver = decide_semver(explicit=command.semver, change_type=command.change_type, highest=highest)
        taken_by = next((each.number for each in self._new if each.semver == semver), grounds.taken_by)
        if taken_by is not None:
            raise SemverTakenError(
                f"{self.model.name} {semver} is version {taken_by}, of another run or artifact.",
                fix=f"Choose another `semver` (the highest is {highest}), or give `change_type` instead.",
            )
        refuse_small_step(semver, model=self.model.name, lower=lower, features=features)
        return semver

    def _find_lower(self, command: RegisterModelVersion, grounds: Grounds) -> LowerVersion | None:
        # A semantic version that is not explicit comes after all that are there: any of them is lower.
        if not command.evidence.feature_schema:
            return None
        lower = [
            LowerVersion(number=each.number, semver=each.semver, features=each.evidence.feature_schema)
            for each in self._new
            if each.evidence.feature_schema and (command.semver is None or each.semver < command.semver)
        ]
        if grounds.lower is not None:
            lower.append(grounds.lower)
        return max(lower, key=lambda each: each.semver, default=None)

    def _measure_improvement(self, command: RegisterModelVersion, grounds: Grounds) -> Improvement:
        return decide_improvement(
            command.evidence,
            self._find_parent(command, grounds),
            primary_metric=self.model.primary_metric,
            higher_is_better=self.model.higher_is_better,
        )

    def _find_parent(self, command: RegisterModelVersion, grounds: Grounds) -> Evidence | None:
        parent = command.evidence.parent
        if parent is None or grounds.parent is not None:
            return grounds.parent
        if parent.model == self.model.name:
            for each in self._new:
                if each.number == parent.number:
                    return each.evidence
        raise ParentNotFoundError(f"evidence.parent: the project has no version {parent.number} of {parent.model}.")


def _facts_of(evidence: Evidence) -> ModelVersionFacts:
    """What people say about a version begins as its evidence has it."""
    return ModelVersionFacts(
        description=evidence.description,
        tags=evidence.tags,
        model_card=evidence.model_card,
        custom_metadata=evidence.custom_metadata,
    )


def _get_artifact(command: RegisterModelVersion, grounds: Grounds) -> UploadedArtifact:
    if grounds.artifact is None:
        raise ArtifactNotUploadedError(
            f"No artifact {command.digest} was uploaded to the project {command.project}.",
            fix=f"PUT it first: /api/v1/projects/{command.project}/artifacts/{command.digest}",
        )
    return grounds.artifact


def registered_fact(version: ModelVersion, *, project: str) -> ModelVersionRegistered:
    """The fact that tells of a new version."""
    return ModelVersionRegistered(
        project=project,
        model=version.model,
        number=version.number,
        version_id=str(version.id),
        semver=str(version.semver),
        stage=version.stage,
        digest=version.digest,
        artifact_bytes=version.artifact_bytes,
        format=version.format,
        improvement=version.improvement,
        build_status=version.build_status,
        evidence=version.evidence,
    )


def registered_summary(version: ModelVersion, *, source: str | None) -> dict[str, Any]:
    """What the audit entry says of a new version; its digest proves the rest."""
    return {
        "semver": str(version.semver),
        "stage": version.stage,
        "run_id": version.run_id,
        "improvement": version.improvement,
        **({} if source is None else {"source": source}),
    }
