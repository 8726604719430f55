"""Moving an alias: the row, its history, the fact and the audit entry. Every alias moves here, `champion` too."""

from modelyard_events.registry import AliasMoved

from modelyard_registry.aliases import store
from modelyard_registry.models.domain import RegisteredModel
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.routes.champion_history import CHAMPION, Cause
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


async def move_alias(
    tx: Transaction,
    model: RegisteredModel,
    *,
    to_number: int | None,
    cause: Cause,
    reason: str | None,
    alias: str = CHAMPION,
) -> None:
    """Point `alias` at another version, or at none; the caller holds the model's lock, and publishes the route."""
    from_number = model.aliases.get(alias)
    move = store.RecordedMove(
        registered_model_id=model.id,
        alias=alias,
        from_number=from_number,
        to_number=to_number,
        cause=cause,
        reason=reason,
        moved_at=tx.now,
        moved_by=tx.context.actor,
    )
    await store.save_alias(tx.connection, move)
    moved = AliasMoved(
        project=model.project, model=model.name, alias=alias, from_number=from_number, to_number=to_number
    )
    await append_model_fact(tx, moved, registered_model_id=model.id)
    await tx.record_audit(
        project=model.project,
        action=AuditAction.ALIAS_MOVED,
        subject=f"{model.subject}/aliases/{alias}",
        before=None if from_number is None else {"number": from_number},
        after=None if to_number is None else {"number": to_number},
        reason=reason,
    )
