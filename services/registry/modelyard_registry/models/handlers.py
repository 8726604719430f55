"""Registered models: load, decide, save, and say so, in the caller's transaction."""

from modelyard_events.registry import RegisteredModelCreated
from modelyard_runtime.problems import ConflictError

from modelyard_registry.models import store
from modelyard_registry.models.domain import RegisteredModel
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


class RegisteredModelExistsError(ConflictError):
    """The project has a registered model of this name already."""

    code = "registered-model-exists"
    when = "The project has, or had, a registered model of this name."
    fix = "Use another name, register versions under the one that is there, or restore it if it was deleted."


async def create_registered_model(tx: Transaction, model: RegisteredModel) -> RegisteredModel:
    """Create `model`. Raises RegisteredModelExistsError."""
    if not await store.insert_model(tx.connection, model):
        raise RegisteredModelExistsError(f"The project {model.project} has a registered model {model.name} already.")
    await refuse_former_name(tx, project=model.project, name=model.name)
    created = RegisteredModelCreated(
        project=model.project,
        model=model.name,
        registered_model_id=str(model.id),
        model_type=model.model_type,
        scope=model.scope,
        industry=model.industry,
        tenant=model.tenant,
        description=model.description,
        owner=model.owner,
        team=model.team,
        primary_metric=model.primary_metric,
        higher_is_better=model.higher_is_better,
        tags=model.tags,
    )
    await append_model_fact(tx, created, registered_model_id=model.id)
    await tx.record_audit(
        project=model.project,
        action=AuditAction.REGISTERED_MODEL_CREATED,
        subject=model.subject,
        after=created.model_dump(mode="json", exclude={"project", "model"}),
    )
    return model


async def refuse_former_name(tx: Transaction, *, project: str, name: str) -> None:
    """Raise RegisteredModelExistsError when another model once had this name: its history goes on under that key."""
    new_name = await store.find_new_name(tx.connection, project=project, name=name)
    if new_name is not None:
        raise RegisteredModelExistsError(
            f"{name} is a former name of {new_name}, and stays its own.",
            fix="Use another name.",
            renamed_to=new_name,
        )
