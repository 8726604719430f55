"""Moving a version to another stage: the row, its history, the fact and the audit entry."""

from typing import Any
from uuid import UUID

from modelyard_events.registry import ModelVersionTransitioned
from modelyard_events.values import Stage

from modelyard_registry.deployments.store import agree_to_endpoint
from modelyard_registry.gates.domain import Verdict
from modelyard_registry.lifecycle import store
from modelyard_registry.models.domain import ModelVersion
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.policies.agreement import Agreement
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


async def change_stage(
    tx: Transaction,
    version: ModelVersion,
    *,
    project: str,
    to_stage: Stage,
    reason: str | None,
    verdicts: tuple[Verdict, ...] = (),
    agreement: Agreement | None = None,
) -> None:
    """Move `version`, and remember what the gates said and who agreed; the caller holds the model's lock."""
    transition = store.Transition(
        id=UUID(tx.new_id()),
        from_stage=version.stage,
        to_stage=to_stage,
        reason=reason,
        transitioned_at=tx.now,
        transitioned_by=tx.context.actor,
        verdicts=tuple(verdict.document() for verdict in verdicts),
        request_id=None if agreement is None else agreement.request_id,
    )
    revision = await store.save_stage(tx.connection, version, transition)
    if to_stage is Stage.PRODUCTION:
        await agree_to_endpoint(tx.connection, version_id=version.id)
    transitioned = ModelVersionTransitioned(
        project=project,
        model=version.model,
        number=version.number,
        from_stage=version.stage,
        to_stage=to_stage,
        revision=revision,
        reason=reason,
        request_id=None if agreement is None else str(agreement.request_id),
        approved_by=() if agreement is None else agreement.approvers,
    )
    await append_model_fact(tx, transitioned, registered_model_id=version.registered_model_id)
    await tx.record_audit(
        project=project,
        action=AuditAction.MODEL_VERSION_TRANSITIONED,
        subject=version.subject,
        before={"stage": version.stage},
        after={"stage": to_stage, **_grounds(transition, agreement)},
        reason=reason,
        digest=version.digest,
    )


def _grounds(transition: store.Transition, agreement: Agreement | None) -> dict[str, Any]:
    grounds: dict[str, Any] = {"verdicts": list(transition.verdicts)} if transition.verdicts else {}
    return grounds if agreement is None else {**grounds, **agreement.document()}
