"""Registering versions: load under the models' locks, decide, save, and say so, in the caller's transaction."""

from collections.abc import Sequence

from modelyard_registry.models.locks import lock_models
from modelyard_registry.models.store import get_model
from modelyard_registry.registration import store
from modelyard_registry.registration.batch import RegistrationBatch
from modelyard_registry.registration.command import RegisterModelVersion, Registration
from modelyard_registry.registration.store import Question
from modelyard_registry.transactions import Transaction


async def register_version(tx: Transaction, command: RegisterModelVersion) -> Registration:
    """Register the next version of a model, once per run and artifact. See `register_versions`."""
    (registration,) = await register_versions(tx, [(command, tx)])
    return registration


async def register_versions(
    tx: Transaction, commands: Sequence[tuple[RegisterModelVersion, Transaction]]
) -> list[Registration]:
    """Register versions of any models in their order, each on behalf of whom its own transaction names.

    Raises RegisteredModelNotFoundError, ArtifactNotUploadedError, SemverTakenError, SemverTooSmallError,
    SemverExhaustedError, ParentNotFoundError or RunIdContradictionError for the first that is refused.
    """
    if not commands:
        return []
    await lock_models(tx.connection, [(each.project, each.model) for each, _ in commands])
    loaded = await store.load(tx.connection, [Question(each, None) for each, _ in commands])
    batch = RegistrationBatch(tx)
    registrations = []
    for (command, on_behalf), found in zip(commands, loaded, strict=True):
        if found is None or found.model is None or found.model.is_deleted:
            await get_model(tx.connection, project=command.project, name=command.model)
            raise LookupError(f"{command.model} was not there, and is there, under its own lock")
        registrations.append(await batch.register(on_behalf, command, found.model, found.grounds))
    await batch.save([])
    return registrations
