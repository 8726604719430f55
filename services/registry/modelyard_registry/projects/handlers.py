"""Creating projects, and refusing events about those that are not there, in the caller's transaction."""

from collections.abc import Collection

from modelyard_registry.projects import store
from modelyard_registry.projects.domain import ProjectRecord, project_exists, project_not_found
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


async def create_project(tx: Transaction, name: str, *, description: str | None) -> ProjectRecord:
    """A new, empty project. Raises ProjectExistsError."""
    is_new = await store.insert_project(
        tx.connection, name, description=description, created_at=tx.now, created_by=tx.context.actor
    )
    if not is_new:
        raise project_exists(name)
    await tx.record_audit(
        project=name, action=AuditAction.PROJECT_CREATED, subject=f"projects/{name}", after={"description": description}
    )
    return ProjectRecord(
        name=name,
        description=description,
        created_at=tx.now,
        created_by=tx.context.actor,
        registered_models=0,
        model_versions=0,
    )


async def refuse_unknown_projects(tx: Transaction, names: Collection[str]) -> None:
    """Raise ProjectNotFoundError for the first of `names` that is no project."""
    unknown = sorted(set(names) - await store.those_there(tx.connection, names))
    if unknown:
        raise project_not_found(unknown[0], known=await store.names_beside(tx.connection, unknown[0]))
