"""Setting and deleting aliases: load under the model's lock, decide, save, and say so, in the caller's transaction."""

from collections.abc import Collection
from dataclasses import dataclass

from modelyard_runtime.access.permissions import Role

from modelyard_registry.aliases.domain import AliasNotFoundError, refuse_alias_move, refuse_alias_name
from modelyard_registry.aliases.moves import move_alias
from modelyard_registry.models.domain import RegisteredModel
from modelyard_registry.models.locks import lock_model
from modelyard_registry.models.store import get_version
from modelyard_registry.policies.store import load_policy
from modelyard_registry.routes.champion_history import Cause
from modelyard_registry.routes.handlers import publish_route
from modelyard_registry.routes.store import is_routed
from modelyard_registry.transactions import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAlias:
    """The command: point `alias` at `number`, or at nothing.

    `expected` is what it points at now, None for nothing; it counts only when `is_expected`. `roles` are the
    caller's.
    """

    project: str
    model: str
    alias: str
    number: int | None
    expected: int | None
    is_expected: bool
    roles: Collection[Role]
    reason: str | None


async def set_alias(tx: Transaction, command: MoveAlias) -> None:
    """Point the alias at the version; nothing happens when it does so already.

    Raises RegisteredModelNotFoundError, ModelVersionNotFoundError and what `refuse_alias_move` raises.
    """
    refuse_alias_name(command.alias)
    model = await lock_model(tx.connection, project=command.project, name=command.model)
    await _refuse(tx, model, command)
    if command.number is not None:
        await get_version(tx.connection, project=command.project, model=command.model, reference=command.number)
    if model.aliases.get(command.alias) != command.number:
        await _move(tx, model, command)


async def delete_alias(tx: Transaction, command: MoveAlias) -> None:
    """Take the alias away. Raises AliasNotFoundError, and what `set_alias` raises."""
    model = await lock_model(tx.connection, project=command.project, name=command.model)
    await _refuse(tx, model, command)
    if command.alias not in model.aliases:
        raise alias_not_found(model, command.alias)
    await _move(tx, model, command)


def alias_not_found(model: RegisteredModel, alias: str) -> AliasNotFoundError:
    """The refusal of a name that points at nothing."""
    return AliasNotFoundError(f"{model.name} has no alias {alias[:100]!r}.")


async def _refuse(tx: Transaction, model: RegisteredModel, command: MoveAlias) -> None:
    policy = await load_policy(tx.connection, project=command.project, registered_model_id=model.id, shared=True)
    refuse_alias_move(
        command.alias,
        present=model.aliases.get(command.alias),
        expected=command.expected,
        is_expected=command.is_expected,
        protected=policy.protected_aliases,
        roles=command.roles,
    )


async def _move(tx: Transaction, model: RegisteredModel, command: MoveAlias) -> None:
    numbers = [number for number in (model.aliases.get(command.alias), command.number) if number is not None]
    await move_alias(
        tx, model, to_number=command.number, cause=Cause.SETTING, reason=command.reason, alias=command.alias
    )
    if await is_routed(
        tx.connection,
        project=model.project,
        model_type=model.model_type,
        model=model.name,
        model_id=model.id,
        numbers=numbers,
    ):
        await publish_route(tx, project=command.project, model_type=model.model_type)
