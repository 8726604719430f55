"""What changes about a registered model after it was made: its description, its name, whether it is there."""

from collections.abc import Mapping
from typing import Any

from modelyard_events.model_changes import (
    RegisteredModelDeleted,
    RegisteredModelFacts,
    RegisteredModelRenamed,
    RegisteredModelRestored,
    RegisteredModelUpdated,
)
from modelyard_runtime.problems import ConflictError

from modelyard_registry.models import changes_store
from modelyard_registry.models.domain import RegisteredModel
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.models.handlers import RegisteredModelExistsError, refuse_former_name
from modelyard_registry.models.locks import lock_model, lock_type_of_model
from modelyard_registry.models.patches import RegisteredModelPatch
from modelyard_registry.models.remeasuring import remeasure
from modelyard_registry.models.store import find_deleted_model, get_model
from modelyard_registry.routes.handlers import publish_route
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


class RenameRefusedError(ConflictError):
    """Something of the registered model serves, which is known by its name."""

    code = "rename-refused"
    when = "A version of the model is routed, is champion or is in a running experiment."
    fix = (
        "Stop its experiments, and let a version of another registered model take its place; or give it a better "
        "description instead."
    )


class DeletionRefusedError(ConflictError):
    """Something of the registered model serves."""

    code = "deletion-refused"
    when = "A version of the model can get traffic or is in a running experiment."
    fix = "Deprecate or archive its versions and stop its experiments first."


async def update_model(tx: Transaction, patch: RegisteredModelPatch, *, project: str, name: str) -> RegisteredModel:
    """Describe the model otherwise; nothing happens when nothing would be different.

    By another primary metric or direction its versions are measured again. Raises RegisteredModelNotFoundError
    or PatchInvalidError.
    """
    model = await lock_model(tx.connection, project=project, name=name)
    before = facts_of(model)
    after = patch.changed(before)
    if after == before:
        return model
    await changes_store.save_facts(tx.connection, registered_model_id=model.id, facts=after, now=tx.now)
    updated = RegisteredModelUpdated(
        project=project,
        model=name,
        registered_model_id=str(model.id),
        revision=model.revision + 1,
        before=before,
        after=after,
    )
    await append_model_fact(tx, updated, registered_model_id=model.id)
    was, became = difference(before.model_dump(mode="json"), after.model_dump(mode="json"))
    await tx.record_audit(
        project=project, action=AuditAction.REGISTERED_MODEL_UPDATED, subject=model.subject, before=was, after=became
    )
    changed = await get_model(tx.connection, project=project, name=name)
    if was.keys() & {"primary_metric", "higher_is_better"} and await remeasure(tx, changed):
        # Selection between industry and global champions goes by improvements.
        await publish_route(tx, project=project, model_type=model.model_type)
    return changed


async def rename_model(
    tx: Transaction, *, project: str, name: str, new_name: str, reason: str | None
) -> RegisteredModel:
    """Give a model another name; the old one stays its own and answers 404 with the new one.

    Its versions, aliases, history and policy go with it. Raises RegisteredModelNotFoundError, RenameRefusedError or
    RegisteredModelExistsError.
    """
    # All of the type: an experiment that starts now must see what the model is called.
    await lock_type_of_model(tx.connection, project=project, name=name)
    model = await get_model(tx.connection, project=project, name=name)
    if new_name == name:
        return model
    serving = await changes_store.what_serves(tx.connection, model)
    if serving:
        raise RenameRefusedError(
            f"{name} cannot be renamed: {', '.join(serving)}. Gateways ask for it, model servers answer and facts are"
            " counted under the name that it has.",
            serving=serving,
        )
    renamed = RegisteredModelRenamed(
        project=project,
        registered_model_id=str(model.id),
        revision=model.revision + 1,
        before=name,
        after=new_name,
        reason=reason,
    )
    await append_model_fact(tx, renamed, registered_model_id=model.id)
    if not await changes_store.save_name(tx.connection, model, name=new_name, now=tx.now):
        raise RegisteredModelExistsError(
            f"The project {project} has a registered model {new_name} already.", fix="Use another name."
        )
    await refuse_former_name(tx, project=project, name=new_name)
    await append_model_fact(tx, renamed, registered_model_id=model.id)
    await tx.record_audit(
        project=project,
        action=AuditAction.REGISTERED_MODEL_RENAMED,
        subject=model.subject,
        before={"name": name},
        after={"name": new_name},
        reason=reason,
    )
    return await get_model(tx.connection, project=project, name=new_name)


async def delete_model(tx: Transaction, *, project: str, name: str, reason: str | None) -> RegisteredModel:
    """Put a model away with its versions, which stay as they are. Its name stays taken.

    Raises RegisteredModelNotFoundError, or DeletionRefusedError while something of it serves.
    """
    # All of the type: an experiment that starts now must see that the model is gone.
    await lock_type_of_model(tx.connection, project=project, name=name)
    model = await get_model(tx.connection, project=project, name=name)
    serving = await changes_store.what_serves(tx.connection, model)
    if serving:
        raise DeletionRefusedError(
            f"{name} cannot be deleted: {', '.join(serving)}.",
            serving=serving,
        )
    await changes_store.save_deleted(tx.connection, model, by=tx.context.actor, now=tx.now)
    deleted = RegisteredModelDeleted(
        project=project,
        model=name,
        registered_model_id=str(model.id),
        revision=model.revision + 1,
        reason=reason,
    )
    await append_model_fact(tx, deleted, registered_model_id=model.id)
    await _record(tx, model, action=AuditAction.REGISTERED_MODEL_DELETED, is_deleted=True, reason=reason)
    found = await find_deleted_model(tx.connection, project=project, name=name)
    return found or model


async def restore_model(tx: Transaction, *, project: str, name: str, reason: str | None) -> RegisteredModel:
    """Bring a deleted model back as it was; one that is there is left alone.

    Raises RegisteredModelNotFoundError.
    """
    await changes_store.lock_revision(tx.connection, project=project, name=name)
    model = await find_deleted_model(tx.connection, project=project, name=name)
    if model is None:
        return await get_model(tx.connection, project=project, name=name)
    await changes_store.save_deleted(tx.connection, model, by=None, now=tx.now)
    restored = RegisteredModelRestored(
        project=project,
        model=name,
        registered_model_id=str(model.id),
        revision=model.revision + 1,
        reason=reason,
    )
    await append_model_fact(tx, restored, registered_model_id=model.id)
    await _record(tx, model, action=AuditAction.REGISTERED_MODEL_RESTORED, is_deleted=False, reason=reason)
    return await get_model(tx.connection, project=project, name=name)


def facts_of(model: RegisteredModel) -> RegisteredModelFacts:
    """What may change about `model`, as it is."""
    return RegisteredModelFacts(
        description=model.description,
        owner=model.owner,
        team=model.team,
        primary_metric=model.primary_metric,
        higher_is_better=model.higher_is_better,
        tags=model.tags,
    )


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was different before and what is different after, for audit entries."""
    changed = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in changed}, {name: after[name] for name in changed}


async def _record(
    tx: Transaction, model: RegisteredModel, *, action: AuditAction, is_deleted: bool, reason: str | None
) -> None:
    await tx.record_audit(
        project=model.project,
        action=action,
        subject=model.subject,
        before={"deleted": not is_deleted},
        after={"deleted": is_deleted},
        reason=reason,
    )
