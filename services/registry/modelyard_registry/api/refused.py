"""What the audit log keeps of a change that the present state did not allow."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from modelyard_runtime.problems import ConflictError

from modelyard_registry.api.preconditions import ReadRevision
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction, refused

FindPath = Callable[[Transaction], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a change is about.

    `path` is what the audit log calls it below its project, or finds that out: only a refusal needs it, the change
    itself knows it. `revision` reads what `If-Match` is compared with; None where nothing has an ETag.
    """

    project: str
    path: str | FindPath
    revision: ReadRevision | None = None


async def record_refusal(tx: Transaction, refusal: ConflictError, *, action: AuditAction, subject: Subject) -> None:
    """Record a refusal as `<action>.refused` about `subject`; the change itself must be undone."""
    await tx.record_audit(
        project=subject.project,
        action=refused(action),
        subject=subject.path if isinstance(subject.path, str) else await subject.path(tx),
        after={"problem": refusal.code, **_grounds(refusal)},
        reason=refusal.detail,
    )


def _grounds(refusal: ConflictError) -> dict[str, Any]:
    """What a refusal rests on and its audit entry keeps: the gates' verdicts, or what has changed."""
    return {name: refusal.extra[name] for name in ("verdicts", "changed") if name in refusal.extra}
