"""Quarantine: a version that must never be served, whatever its stage, until it is released."""

from dataclasses import dataclass

from modelyard_events.registry import ModelVersionQuarantined

from modelyard_registry.lifecycle.store import save_quarantine
from modelyard_registry.models.domain import ModelVersion, Reference
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.models.locks import lock_model
from modelyard_registry.models.store import get_version
from modelyard_registry.routes.handlers import publish_route
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineModelVersion:
    """The command: put a version in quarantine, or release it."""

    project: str
    model: str
    reference: Reference
    quarantined: bool
    reason: str | None


async def quarantine_version(tx: Transaction, command: QuarantineModelVersion) -> ModelVersion:
    """Answers the version after the change; when it is as asked already, nothing happens.

    Raises RegisteredModelNotFoundError or ModelVersionNotFoundError.
    """
    model = await lock_model(tx.connection, project=command.project, name=command.model)
    version = await get_version(
        tx.connection, project=command.project, model=command.model, reference=command.reference
    )
    if version.quarantined == command.quarantined:
        return version

    revision = await save_quarantine(tx.connection, version, quarantined=command.quarantined, now=tx.now)
    changed = ModelVersionQuarantined(
        project=command.project,
        model=version.model,
        number=version.number,
        quarantined=command.quarantined,
        revision=revision,
        reason=command.reason,
    )
    await append_model_fact(tx, changed, registered_model_id=model.id)
    await tx.record_audit(
        project=command.project,
        action=AuditAction.MODEL_VERSION_QUARANTINED if command.quarantined else AuditAction.MODEL_VERSION_RELEASED,
        subject=version.subject,
        before={"quarantined": version.quarantined},
        after={"quarantined": command.quarantined},
        reason=command.reason,
        digest=version.digest,
    )
    # Whatever the stage: a running experiment may name the version.
    await publish_route(tx, project=command.project, model_type=model.model_type)
    return await get_version(tx.connection, project=command.project, model=command.model, reference=version.number)
