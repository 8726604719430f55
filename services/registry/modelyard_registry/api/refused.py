"""What the audit log keeps of a change that the present state did not allow."""

from collections.abc import Awaitable, Callable
from typing import Any

from modelyard_runtime.problems import ConflictError

from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction, refused

FindSubject = Callable[[Transaction], Awaitable[str]]
Subject = str | FindSubject
"""What a change is about, or how to find it out: only a refusal needs it, the change itself knows it."""


async def record_refusal(
    tx: Transaction, refusal: ConflictError, *, project: str, action: AuditAction, subject: Subject
) -> None:
    """Record a refusal as `<action>.refused` about `subject`; the change itself must be undone."""
    await tx.record_audit(
        project=project,
        action=refused(action),
        subject=subject if isinstance(subject, str) else await subject(tx),
        after={"problem": refusal.code, **_grounds(refusal)},
        reason=refusal.detail,
    )


def _grounds(refusal: ConflictError) -> dict[str, Any]:
    """What a refusal rests on and its audit entry keeps: the gates' verdicts, or what has changed."""
    return {name: refusal.extra[name] for name in ("verdicts", "changed") if name in refusal.extra}
