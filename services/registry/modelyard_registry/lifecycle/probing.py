"""Asking the endpoint of a version before it moves to where it gets traffic: before the locks, never under them."""

from dataclasses import dataclass

from modelyard_events.values import Stage
from modelyard_runtime.problems import NotFoundError

from modelyard_registry.api import Services
from modelyard_registry.deployments.domain import Deployment
from modelyard_registry.deployments.probe import Probe, ask_endpoint, verdict_of
from modelyard_registry.deployments.store import find_deployment
from modelyard_registry.gates.domain import Verdict
from modelyard_registry.models.domain import Reference
from modelyard_registry.models.store import get_version
from modelyard_registry.policies.domain import EffectivePolicy
from modelyard_registry.policies.store import load_policy
from modelyard_registry.routes.domain import ROUTABLE_STAGES, ROUTED_ENVIRONMENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """What the endpoint said just now; None when it was not asked. `is_on` is false where operators switched it off."""

    is_on: bool = True
    probe: Probe | None = None

    def verdicts(
        self, *, to_stage: Stage, deployment: Deployment | None, policy: EffectivePolicy
    ) -> tuple[Verdict, ...]:
        """The verdict for a move, if the move demands one: a version without an endpoint lacks more than an answer."""
        if not self.is_on or to_stage not in ROUTABLE_STAGES or not policy.probe or deployment is None:
            return ()
        return (verdict_of(self.probe, deployment.endpoint),)


SWITCHED_OFF = Probing(is_on=False)
NOT_ASKED = Probing()
"""The endpoint was not asked: a move that demands an answer is refused."""


async def probe_before(
    services: Services, *, project: str, model: str, reference: Reference, to_stage: Stage
) -> Probing:
    """Ask the endpoint if the move demands it. What is not there now is refused under the lock, in plain words."""
    if not services.probes_endpoints:
        return SWITCHED_OFF
    if to_stage not in ROUTABLE_STAGES:
        return Probing()
    try:
        async with services.database.reading() as connection:
            version = await get_version(connection, project=project, model=model, reference=reference)
            policy = await load_policy(connection, project=project, registered_model_id=version.registered_model_id)
            deployment = await find_deployment(connection, version_id=version.id, environment=ROUTED_ENVIRONMENT)
    except NotFoundError:
        return Probing()
    if deployment is None or not policy.probe:
        return Probing()
    return Probing(probe=await ask_endpoint(services.outbound, deployment.endpoint, owner=project))
