"""Registered models and versions: load, decide, save, and say so, in the caller's transaction."""

from uuid import UUID

from modelyard_events.model_changes import ModelVersionFacts
from modelyard_events.registry import ModelVersionRegistered, RegisteredModelCreated
from modelyard_events.values import Evidence, Stage
from modelyard_runtime.problems import ConflictError, InvalidRequestError

from modelyard_registry.artifacts.records import ArtifactRecord, find_artifact
from modelyard_registry.models import store
from modelyard_registry.models.domain import (
    Improvement,
    ModelVersion,
    RegisteredModel,
    RegisterModelVersion,
    Registration,
    SemanticVersion,
    SemverTakenError,
    decide_improvement,
    decide_run_id,
    decide_semver,
)
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.models.feature_differences import LowerVersion, decide_unnamed_semver, refuse_small_step
from modelyard_registry.transactions import Transaction


class RegisteredModelExistsError(ConflictError):
    """The project has a registered model of this name already."""


class ArtifactNotUploadedError(ConflictError):
    """The artifact was not uploaded to this project."""


class ParentNotFoundError(InvalidRequestError):
    """The version that the evidence names as the parent does not exist."""


async def create_registered_model(tx: Transaction, model: RegisteredModel) -> RegisteredModel:
    """Create `model`. Raises RegisteredModelExistsError."""
    if not await store.insert_model(tx.connection, model):
        raise RegisteredModelExistsError(
            f"The project {model.project} has a registered model {model.name} already.",
            fix="Use another name, register versions under the one that is there, or restore it if it was deleted.",
        )
    await refuse_former_name(tx, project=model.project, name=model.name)
    created = RegisteredModelCreated(
        project=model.project,
        model=model.name,
        registered_model_id=str(model.id),
        model_type=model.model_type,
        scope=model.scope,
        industry=model.industry,
        tenant=model.tenant,
        description=model.description,
        owner=model.owner,
        team=model.team,
        primary_metric=model.primary_metric,
        higher_is_better=model.higher_is_better,
        tags=model.tags,
    )
    await append_model_fact(tx, created, registered_model_id=model.id)
    await tx.record_audit(
        project=model.project,
        action="registered_model.created",
        subject=model.subject,
        after=created.model_dump(mode="json", exclude={"project", "model"}),
    )
    return model


async def refuse_former_name(tx: Transaction, *, project: str, name: str) -> None:
    """Raise RegisteredModelExistsError when another model once had this name: its history goes on under that key."""
    new_name = await store.find_new_name(tx.connection, project=project, name=name)
    if new_name is not None:
        raise RegisteredModelExistsError(
            f"{name} is a former name of {new_name}, and stays its own.",
            fix="Use another name.",
            renamed_to=new_name,
        )


async def register_version(tx: Transaction, command: RegisterModelVersion) -> Registration:
    """Register the next version of a model, once per run and artifact.

    Raises RegisteredModelNotFoundError, ArtifactNotUploadedError, SemverTakenError, SemverTooSmallError,
    SemverExhaustedError, ParentNotFoundError or RunIdContradictionError.
    """
    run_id = decide_run_id(command)
    model = await store.lock_model(tx.connection, project=command.project, name=command.model)
    if run_id is not None:
        made_before = await store.find_by_run(
            tx.connection, registered_model_id=model.id, run_id=run_id, digest=command.digest
        )
        if made_before is not None:
            return Registration(version=made_before, is_new=False)
    version = _a_version(
        tx,
        command,
        model=model,
        run_id=run_id,
        artifact=await _get_artifact(tx, command),
        semver=await _choose_semver(tx, command, model=model),
        improvement=await _measure_improvement(tx, command, model=model),
    )
    await store.insert_version(tx.connection, version)
    await _say_registered(tx, version, command=command)
    return Registration(version=version, is_new=True)


def _a_version(
    tx: Transaction,
    command: RegisterModelVersion,
    *,
    model: RegisteredModel,
    run_id: str | None,
    artifact: ArtifactRecord,
    semver: SemanticVersion,
    improvement: Improvement,
) -> ModelVersion:
    return ModelVersion(
        id=UUID(tx.new_id()),
        registered_model_id=model.id,
        model=model.name,
        number=model.last_number + 1,
        semver=semver,
        stage=Stage.DEVELOPMENT,
        quarantined=False,
        digest=artifact.digest,
        artifact_bytes=artifact.size_bytes,
        format=artifact.format,
        run_id=run_id,
        evidence=command.evidence,
        improvement=improvement.value,
        improvement_reason=improvement.reason,
        revision=1,
        created_at=tx.now,
        created_by=tx.context.actor,
        updated_at=tx.now,
        aliases=(),
        build_status=command.build_status,
        facts=ModelVersionFacts(
            description=command.evidence.description,
            tags=command.evidence.tags,
            model_card=command.evidence.model_card,
            custom_metadata=command.evidence.custom_metadata,
        ),
    )


async def _get_artifact(tx: Transaction, command: RegisterModelVersion) -> ArtifactRecord:
    artifact = await find_artifact(tx.connection, project=command.project, digest=command.digest)
    if artifact is None:
        raise ArtifactNotUploadedError(
            f"No artifact {command.digest} was uploaded to the project {command.project}.",
            fix=f"PUT it first: /api/v1/projects/{command.project}/artifacts/{command.digest}",
        )
    return artifact


async def _choose_semver(tx: Transaction, command: RegisterModelVersion, *, model: RegisteredModel) -> SemanticVersion:
    features = command.evidence.feature_schema
    highest = await store.find_highest_semver(tx.connection, registered_model_id=model.id)
    if command.semver is None and command.change_type is None:
        below = await _find_lower(tx, command, model=model, below=None)
        semver = decide_unnamed_semver(highest=highest, lower=below, features=features)
    else:
        semver = decide_semver(explicit=command.semver, change_type=command.change_type, highest=highest)
    taken_by = await store.find_version(tx.connection, project=model.project, model=model.name, reference=semver)
    if taken_by is not None:
        raise SemverTakenError(
            f"{model.name} {semver} is version {taken_by.number}, of another run or artifact.",
            fix=f"Choose another `semver` (the highest is {highest}), or give `change_type` instead.",
        )
    lower = await _find_lower(tx, command, model=model, below=semver)
    refuse_small_step(semver, model=model.name, lower=lower, features=features)
    return semver


async def _find_lower(
    tx: Transaction, command: RegisterModelVersion, *, model: RegisteredModel, below: SemanticVersion | None
) -> LowerVersion | None:
    if not command.evidence.feature_schema:
        return None
    return await store.find_lower_with_features(tx.connection, registered_model_id=model.id, below=below)


async def _measure_improvement(
    tx: Transaction, command: RegisterModelVersion, *, model: RegisteredModel
) -> Improvement:
    return decide_improvement(
        command.evidence,
        await _find_parent(tx, command),
        primary_metric=model.primary_metric,
        higher_is_better=model.higher_is_better,
    )


async def _find_parent(tx: Transaction, command: RegisterModelVersion) -> Evidence | None:
    parent = command.evidence.parent
    if parent is None:
        return None
    version = await store.find_version_ever_called(
        tx.connection, project=command.project, model=parent.model, number=parent.number
    )
    if version is None:
        raise ParentNotFoundError(
            f"evidence.parent: the project has no version {parent.number} of {parent.model}.",
            fix="Name a version that is registered in this project, or leave `parent` out.",
        )
    return version.evidence


async def _say_registered(tx: Transaction, version: ModelVersion, *, command: RegisterModelVersion) -> None:
    registered = ModelVersionRegistered(
        project=command.project,
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
    await append_model_fact(tx, registered, registered_model_id=version.registered_model_id)
    await tx.record_audit(
        project=command.project,
        action="model_version.registered",
        subject=version.subject,
        after={
            "semver": str(version.semver),
            "stage": version.stage,
            "run_id": version.run_id,
            "improvement": version.improvement,
            **({} if command.source is None else {"source": command.source}),
        },
        digest=version.digest,
    )
