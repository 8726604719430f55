"""Policies in PostgreSQL: one row per project that has one, one per registered model that has its own."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from modelyard_events.values import Stage

from modelyard_registry.policies.domain import UNSET, EffectivePolicy, Policy, PolicyRevision
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.database import Connection

FIND_PROJECT_POLICY = "SELECT revision, document FROM project_policies WHERE project = $1"
# Whoever makes a move reads its rules so that they stay until the move is made.
SHARE_PROJECT_POLICY = f"{FIND_PROJECT_POLICY} FOR SHARE"
# The first policy of a project has no row to lock yet.
ENSURE_PROJECT_POLICY = """
INSERT INTO project_policies (project, revision, document, changed_at, changed_by) VALUES ($1, 0, '{}', $2, $3)
ON CONFLICT (project) DO NOTHING
"""
LOCK_PROJECT_POLICY = f"{FIND_PROJECT_POLICY} FOR UPDATE"
SAVE_PROJECT_POLICY = """
UPDATE project_policies SET revision = $2, document = $3, changed_at = $4, changed_by = $5 WHERE project = $1
"""
FIND_MODEL_POLICY = "SELECT revision, document FROM model_policies WHERE registered_model_id = $1"
SAVE_MODEL_POLICY = """
INSERT INTO model_policies (registered_model_id, revision, document, changed_at, changed_by)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (registered_model_id) DO UPDATE SET
    revision = excluded.revision, document = excluded.document,
    changed_at = excluded.changed_at, changed_by = excluded.changed_by
"""
LIST_ARRIVALS = "SELECT DISTINCT from_stage, request_id FROM transitions WHERE version_id = $1 AND to_stage = $2"


async def load_policy(
    connection: Connection, *, project: str, registered_model_id: UUID, shared: bool = False
) -> EffectivePolicy:
    """What holds for the model; `shared` keeps the project's policy as it is until the transaction ends.

    The model's own policy is kept by the model's lock.
    """
    statement = SHARE_PROJECT_POLICY if shared else FIND_PROJECT_POLICY
    return EffectivePolicy(
        project=_revision_of(await connection.fetchrow(statement, project)),
        model=_revision_of(await connection.fetchrow(FIND_MODEL_POLICY, registered_model_id)),
    )


async def find_project_policy(connection: Connection, *, project: str) -> PolicyRevision:
    """The project's policy, or the one that nobody set."""
    return _revision_of(await connection.fetchrow(FIND_PROJECT_POLICY, project))


async def lock_project_policy(tx: Transaction, *, project: str) -> PolicyRevision:
    """The project's policy, locked until the transaction ends."""
    await tx.connection.execute(ENSURE_PROJECT_POLICY, project, tx.now, tx.context.actor)
    return _revision_of(await tx.connection.fetchrow(LOCK_PROJECT_POLICY, project))


async def save_project_policy(tx: Transaction, changed: PolicyRevision, *, project: str) -> None:
    """Keep the project's policy; the caller holds its lock."""
    document = changed.policy.model_dump(mode="json")
    await tx.connection.execute(SAVE_PROJECT_POLICY, project, changed.revision, document, tx.now, tx.context.actor)


async def save_model_policy(tx: Transaction, changed: PolicyRevision, *, registered_model_id: UUID) -> None:
    """Keep a registered model's own policy; the caller holds the model's lock."""
    document = changed.policy.model_dump(mode="json")
    await tx.connection.execute(
        SAVE_MODEL_POLICY, registered_model_id, changed.revision, document, tx.now, tx.context.actor
    )


async def list_arrivals(connection: Connection, *, version_id: UUID, stage: Stage) -> Sequence[tuple[Stage, bool]]:
    """From where the version ever came into `stage`, and whether others had agreed to it; in no order."""
    rows = await connection.fetch(LIST_ARRIVALS, version_id, stage)
    return [(Stage(row["from_stage"]), row["request_id"] is not None) for row in rows]


def _revision_of(row: asyncpg.Record | None) -> PolicyRevision:
    if row is None:
        return UNSET
    return PolicyRevision(revision=row["revision"], policy=Policy.model_validate(row["document"]))
