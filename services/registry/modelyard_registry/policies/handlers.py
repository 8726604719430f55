"""Setting policies: load under the lock, decide, save, and say so, in the caller's transaction."""

from typing import Any

from modelyard_events.policies import PolicyChanged
from modelyard_events.topics import MODEL_VERSIONS

from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.models.locks import lock_model
from modelyard_registry.policies import store
from modelyard_registry.policies.domain import Policy, PolicyRevision, decide_policy
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


async def set_project_policy(tx: Transaction, policy: Policy, *, project: str, reason: str | None) -> PolicyRevision:
    """Set the project's policy; answers it as it is now."""
    current = await store.lock_project_policy(tx, project=project)
    changed = decide_policy(current, policy)
    if changed is current:
        return current

    await store.save_project_policy(tx, changed, project=project)
    fact = PolicyChanged(
        project=project,
        revision=changed.revision,
        before=_plain(current.policy),
        after=_plain(changed.policy),
        reason=reason,
    )
    # What is about the whole project has a key of its own, whose sequence is the policy's revision.
    await tx.append_fact(MODEL_VERSIONS, fact, key=project, sequence=changed.revision)
    await _record(tx, current, changed, project=project, subject="policies", reason=reason)
    return changed


async def set_model_policy(
    tx: Transaction, policy: Policy, *, project: str, name: str, reason: str | None
) -> PolicyRevision:
    """Set a registered model's own policy; answers it as it is now. Raises RegisteredModelNotFoundError."""
    model = await lock_model(tx.connection, project=project, name=name)
    current = (await store.load_policy(tx.connection, project=project, registered_model_id=model.id)).model
    changed = decide_policy(current, policy)
    if changed is current:
        return current

    await store.save_model_policy(tx, changed, registered_model_id=model.id)
    fact = PolicyChanged(
        project=project,
        model=model.name,
        revision=changed.revision,
        before=_plain(current.policy),
        after=_plain(changed.policy),
        reason=reason,
    )
    await append_model_fact(tx, fact, registered_model_id=model.id)
    await _record(tx, current, changed, project=project, subject=f"{model.subject}/policy", reason=reason)
    return changed


async def _record(
    tx: Transaction,
    current: PolicyRevision,
    changed: PolicyRevision,
    *,
    project: str,
    subject: str,
    reason: str | None,
) -> None:
    await tx.record_audit(
        project=project,
        action=AuditAction.POLICY_CHANGED,
        subject=subject,
        before={"revision": current.revision, "policy": _plain(current.policy)},
        after={"revision": changed.revision, "policy": _plain(changed.policy)},
        reason=reason,
    )


def _plain(policy: Policy) -> dict[str, Any]:
    return policy.model_dump(mode="json", exclude_none=True)
