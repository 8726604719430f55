"""Recording a check of a version: load, decide, save, and say so, in the caller's transaction."""

from dataclasses import dataclass
from uuid import UUID

from modelyard_registry.checks import store
from modelyard_registry.checks.domain import (
    CHECKS_MAX,
    Check,
    CheckKind,
    CheckOutcome,
    OtherDigestError,
    TooManyChecksError,
    refuse_own_version,
)
from modelyard_registry.models.domain import Reference
from modelyard_registry.models.locks import lock_model
from modelyard_registry.models.store import get_version
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCheck:
    """The command to record what a service found in a version."""

    project: str
    model: str
    reference: Reference
    kind: CheckKind
    outcome: CheckOutcome
    digest: str
    report_url: str | None
    report_digest: str | None
    details: str | None


async def record_check(tx: Transaction, command: RecordCheck) -> Check:
    """Keep the check. Raises OwnVersionError, OtherDigestError or TooManyChecksError, and when there is no version."""
    await lock_model(tx.connection, project=command.project, name=command.model)
    version = await get_version(
        tx.connection, project=command.project, model=command.model, reference=command.reference
    )
    refuse_own_version(tx.context.who, created_by=version.created_by, subject=version.subject)
    if command.digest != version.digest:
        raise OtherDigestError(
            f"{version.subject} has the artifact {version.digest}, and the check is of {command.digest}."
        )
    if await store.count_checks(tx.connection, version_id=version.id) >= CHECKS_MAX:
        raise TooManyChecksError(f"{version.subject} has {CHECKS_MAX} checks.")
    check = Check(
        id=UUID(tx.new_id()),
        kind=command.kind,
        outcome=command.outcome,
        digest=command.digest,
        report_url=command.report_url,
        report_digest=command.report_digest,
        details=command.details,
        recorded_at=tx.now,
        recorded_by=tx.context.actor,
    )
    await store.insert_check(tx.connection, check, version_id=version.id)
    await tx.record_audit(
        project=command.project,
        action=AuditAction.MODEL_VERSION_CHECKED,
        subject=version.subject,
        after={
            "kind": check.kind,
            "outcome": check.outcome,
            "report_url": check.report_url,
            "report_digest": check.report_digest,
        },
        digest=check.digest,
    )
    return check
