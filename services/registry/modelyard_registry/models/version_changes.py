"""What changes about a version beside its stage: what people say about it, its build status and its review status."""

from collections.abc import Mapping
from typing import Any

from modelyard_events.model_changes import (
    BuildStatus,
    ModelVersionBuildStatusChanged,
    ModelVersionReviewStatusChanged,
    ModelVersionUpdated,
    ReviewStatus,
)
from modelyard_runtime.problems import ConflictError

from modelyard_registry.models import changes_store
from modelyard_registry.models.changes import difference
from modelyard_registry.models.domain import ModelVersion, Reference
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.models.locks import lock_model
from modelyard_registry.models.patches import ModelVersionPatch
from modelyard_registry.models.store import get_model, get_version
from modelyard_registry.routes.domain import RESTORABLE_STAGES
from modelyard_registry.routes.handlers import publish_route
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction

BUILD_STATUSES_AFTER: Mapping[BuildStatus, tuple[BuildStatus, ...]] = {
    "training": ("evaluating", "ready", "failed"),
    "evaluating": ("ready", "failed", "training"),
    "ready": ("evaluating", "failed"),
    "failed": ("training", "evaluating"),
}
"""Where the making of a version can go from each status; what has failed is made again before it is ready."""


_Changed = ModelVersionUpdated | ModelVersionBuildStatusChanged | ModelVersionReviewStatusChanged


class BuildStatusRefusedError(ConflictError):
    """The making of a version does not go this way."""

    code = "build-status-refused"
    when = "The build status cannot change from its present value to this one."
    fix = "Choose one of the statuses that `fix` lists."


async def update_version(
    tx: Transaction, patch: ModelVersionPatch, *, project: str, model: str, reference: Reference
) -> ModelVersion:
    """Describe the version otherwise; nothing happens when nothing would be different.

    Raises RegisteredModelNotFoundError, ModelVersionNotFoundError or PatchInvalidError.
    """
    version = await _lock_version(tx, project=project, model=model, reference=reference)
    after = patch.changed(version.facts)
    if after == version.facts:
        return version
    await changes_store.save_version_facts(tx.connection, version, facts=after, now=tx.now)
    updated = ModelVersionUpdated(
        project=project,
        model=version.model,
        number=version.number,
        revision=version.revision + 1,
        before=version.facts,
        after=after,
    )
    was, became = difference(version.facts.model_dump(mode="json"), after.model_dump(mode="json"))
    return await _say_changed(tx, version, updated, action=AuditAction.MODEL_VERSION_UPDATED, before=was, after=became)


async def set_build_status(
    tx: Transaction, status: BuildStatus, *, project: str, model: str, reference: Reference, reason: str | None
) -> ModelVersion:
    """Say how far the making of the version has come; the status that it has already changes nothing.

    Raises RegisteredModelNotFoundError, ModelVersionNotFoundError or BuildStatusRefusedError.
    """
    version = await _lock_version(tx, project=project, model=model, reference=reference)
    if status == version.build_status:
        return version
    possible = BUILD_STATUSES_AFTER[version.build_status]
    if status not in possible:
        raise BuildStatusRefusedError(
            f"{model} {version.number} is {version.build_status}; it cannot become {status}.",
            fix=f"It can become {' or '.join(possible)}.",
            possible=possible,
        )
    await changes_store.save_build_status(tx.connection, version, status=status, now=tx.now)
    changed = ModelVersionBuildStatusChanged(
        project=project,
        model=version.model,
        number=version.number,
        revision=version.revision + 1,
        before=version.build_status,
        after=status,
        reason=reason,
    )
    return await _say_changed(
        tx,
        version,
        changed,
        action=AuditAction.MODEL_VERSION_BUILD_STATUS_CHANGED,
        before={"build_status": version.build_status},
        after={"build_status": status},
        reason=reason,
    )


async def set_review_status(
    tx: Transaction, status: ReviewStatus, *, project: str, model: str, reference: Reference, reason: str | None
) -> ModelVersion:
    """Say what a person thinks of the version; the status that it has already changes nothing.

    A review moves nothing: approvals of a transition are decisions of their own. Raises
    RegisteredModelNotFoundError or ModelVersionNotFoundError.
    """
    version = await _lock_version(tx, project=project, model=model, reference=reference)
    if status == version.review_status:
        return version
    await changes_store.save_review_status(tx.connection, version, status=status, now=tx.now)
    changed = ModelVersionReviewStatusChanged(
        project=project,
        model=version.model,
        number=version.number,
        revision=version.revision + 1,
        before=version.review_status,
        after=status,
        reason=reason,
    )
    return await _say_changed(
        tx,
        version,
        changed,
        action=AuditAction.MODEL_VERSION_REVIEW_STATUS_CHANGED,
        before={"review_status": version.review_status},
        after={"review_status": status},
        reason=reason,
    )


async def _say_changed(
    tx: Transaction,
    version: ModelVersion,
    fact: _Changed,
    *,
    action: AuditAction,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    reason: str | None = None,
) -> ModelVersion:
    """Have the fact and the audit entry written about a change that is saved; answers the version after it."""
    await append_model_fact(tx, fact, registered_model_id=version.registered_model_id)
    await tx.record_audit(
        project=fact.project,
        action=action,
        subject=version.subject,
        before=before,
        after=after,
        reason=reason,
        digest=version.digest,
    )
    if version.stage in RESTORABLE_STAGES and not isinstance(fact, ModelVersionUpdated):
        # Routes fall back to former champions, but not to one that was rejected.
        model = await get_model(tx.connection, project=fact.project, name=version.model)
        await publish_route(tx, project=fact.project, model_type=model.model_type)
    return await get_version(tx.connection, project=fact.project, model=version.model, reference=version.number)


async def _lock_version(tx: Transaction, *, project: str, model: str, reference: Reference) -> ModelVersion:
    await lock_model(tx.connection, project=project, name=model)
    return await get_version(tx.connection, project=project, model=model, reference=reference)
