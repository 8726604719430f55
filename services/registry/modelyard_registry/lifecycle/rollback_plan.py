"""What a rollback would do as things stand, and whether the version that it would restore answers."""

from modelyard_runtime.problems import ConflictError, NotFoundError

from modelyard_registry.aliases.store import list_champion_moves
from modelyard_registry.api import Services
from modelyard_registry.deployments.probing import NOT_ASKED, EndpointProbe, probe_endpoint
from modelyard_registry.lifecycle import store
from modelyard_registry.lifecycle.rollback import Rollback, RollBackChampion, decide_rollback
from modelyard_registry.models.domain import RegisteredModel
from modelyard_registry.models.store import get_model
from modelyard_registry.policies.domain import EffectivePolicy
from modelyard_registry.policies.store import load_policy
from modelyard_registry.routes.champion_history import CHAMPION, previous_champions
from modelyard_registry.transactions.database import Connection


async def plan_rollback(
    connection: Connection, command: RollBackChampion, model: RegisteredModel, *, policy: EffectivePolicy
) -> Rollback:
    """Whom the rollback restores. Raises ChampionChangedError, EndpointNotAgreedError or NothingToRestoreError."""
    history = await list_champion_moves(connection, registered_model_id=model.id)
    former = await store.list_former_champions(
        connection, registered_model_id=model.id, numbers=previous_champions(history), policy=policy
    )
    return decide_rollback(
        model=model.name, champion=model.aliases.get(CHAMPION), replaces=command.replaces, former=former
    )


async def probe_rollback(services: Services, command: RollBackChampion, *, skip_reason: str | None) -> EndpointProbe:
    """Ask the endpoint of the version that would serve again. What stands against it is refused under the lock."""
    if skip_reason is not None or not services.probes_endpoints:
        return EndpointProbe(is_on=services.probes_endpoints, skip_reason=skip_reason)
    try:
        async with services.database.reading() as connection:
            model = await get_model(connection, project=command.project, name=command.model)
            policy = await load_policy(connection, project=command.project, registered_model_id=model.id)
            rollback = await plan_rollback(connection, command, model, policy=policy)
    except (NotFoundError, ConflictError):
        return NOT_ASKED
    endpoint = rollback.restored.endpoint
    if endpoint is None or not policy.probe:
        return NOT_ASKED
    return await probe_endpoint(services, endpoint, owner=command.project)
