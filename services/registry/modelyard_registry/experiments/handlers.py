"""Starting and stopping experiments: each a fact, an audit entry and a new routing document."""

from dataclasses import replace
from uuid import UUID

from modelyard_events.registry import ExperimentStarted, ExperimentStopped, ExperimentVariant
from modelyard_events.routes import RoutableVersion
from modelyard_runtime.problems import NotFoundError

from modelyard_registry.experiments import store
from modelyard_registry.experiments.domain import (
    Experiment,
    ExperimentKeyTakenError,
    ExperimentNotRunningError,
    StartExperiment,
    TreatmentNotRoutableError,
    decide_variants,
)
from modelyard_registry.models.facts import append_model_fact
from modelyard_registry.models.locks import lock_model_type
from modelyard_registry.policies.store import list_arrivals, load_policy
from modelyard_registry.routes.domain import build_document
from modelyard_registry.routes.handlers import publish_route
from modelyard_registry.routes.store import load_state, lock_route
from modelyard_registry.transactions import Transaction
from modelyard_registry.transactions.audit_actions import AuditAction


class TreatmentNotFoundError(NotFoundError):
    """The version that is to be the treatment does not exist."""

    code = "treatment-not-found"
    when = "The project has no version as the treatment names it."
    fix = "Name a registered model and the number of one of its versions."


async def start_experiment(tx: Transaction, command: StartExperiment, *, salt: str) -> Experiment:
    """Start an experiment whose control is what selection gives now, pinned until it ends.

    `salt` is 128 random bits as text: it decorrelates the experiment from all others. Raises the refusals
    of `decide_variants`, TreatmentNotFoundError and ExperimentKeyTakenError.
    """
    await lock_model_type(tx.connection, project=command.project, model_type=command.model_type)
    experiment = Experiment(
        id=tx.new_id(),
        project=command.project,
        model_type=command.model_type,
        key=command.key,
        salt=salt,
        state="running",
        hypothesis=command.hypothesis,
        traffic_bp=command.traffic_bp,
        scope=command.scope,
        variants=await _decide_variants(tx, command),
        started_at=tx.now,
        started_by=tx.context.actor,
    )
    if not await store.insert_experiment(tx.connection, experiment):
        raise ExperimentKeyTakenError(f"The project {command.project} has, or had, an experiment {command.key}.")
    await _say_started(tx, experiment)
    await publish_route(tx, project=command.project, model_type=command.model_type)
    return experiment


async def stop_experiment(tx: Transaction, *, project: str, key: str, reason: str | None) -> Experiment:
    """End an experiment: selection decides again. Raises ExperimentNotFoundError, ExperimentNotRunningError."""
    known = await store.get_experiment(tx.connection, project=project, key=key)
    await lock_model_type(tx.connection, project=project, model_type=known.model_type)
    current = await store.get_experiment(tx.connection, project=project, key=key)
    if current.state != "running":
        raise ExperimentNotRunningError(f"The experiment {key} was stopped by {current.stopped_by}.")
    stopped = await _conclude(tx, current, reason=reason)
    await publish_route(tx, project=project, model_type=current.model_type)
    return stopped


async def stop_experiments_touching(tx: Transaction, *, project: str, model: str, number: int, reason: str) -> None:
    """End the running experiments that have this version as a variant, because it can serve no longer.

    The caller has locked all models of the type, for the facts are about the controls' models, and
    publishes the route afterwards.
    """
    for experiment in await store.list_touching(tx.connection, project=project, model=model, number=number):
        await _conclude(tx, experiment, reason=reason)


async def _decide_variants(tx: Transaction, command: StartExperiment) -> tuple[ExperimentVariant, ...]:
    found = await store.find_typed_version(
        tx.connection,
        project=command.project,
        model=command.treatment_model,
        number=command.treatment_number,
    )
    name = f"{command.treatment_model}/{command.treatment_number}"
    if found is None:
        raise TreatmentNotFoundError(f"The project {command.project} has no version {name}.")
    if found.model_type != command.model_type:
        raise TreatmentNotRoutableError(
            f"{name} is of model type {found.model_type}, the experiment of {command.model_type}.",
            fix="Compare versions of one model type.",
        )
    is_agreed = await _is_agreed(tx, command.project, found.version)
    route = await lock_route(tx.connection, project=command.project, model_type=command.model_type)
    state = await load_state(
        tx.connection, project=command.project, model_type=command.model_type, settings=route.settings
    )
    running = await store.list_running(tx.connection, project=command.project, model_type=command.model_type)
    document = build_document(state, revision=route.sequence + 1)
    return decide_variants(command, document=document, treatment=found.version, running=running, is_agreed=is_agreed)


async def _is_agreed(tx: Transaction, project: str, version: RoutableVersion) -> bool:
    """Whether people agreed to the version in its stage, as the policy that holds now demands."""
    model_id = await store.get_model_id(tx.connection, project=project, model=version.model)
    policy = await load_policy(tx.connection, project=project, registered_model_id=model_id, shared=True)
    arrivals = await list_arrivals(tx.connection, version_id=UUID(version.version_id), stage=version.stage)
    return policy.was_agreed(version.stage, arrivals)


async def _conclude(tx: Transaction, experiment: Experiment, *, reason: str | None) -> Experiment:
    stopped = replace(experiment, state="concluded", stopped_at=tx.now, stopped_by=tx.context.actor, stop_reason=reason)
    if not await store.conclude_experiment(tx.connection, stopped):
        return stopped  # Somebody else ended it a moment ago, and said so.
    event = ExperimentStopped(
        project=experiment.project,
        model_type=experiment.model_type,
        experiment_id=experiment.id,
        key=experiment.key,
        reason=reason,
    )
    await append_model_fact(tx, event, registered_model_id=await _control_model(tx, experiment))
    await tx.record_audit(
        project=experiment.project,
        action=AuditAction.EXPERIMENT_STOPPED,
        subject=experiment.subject,
        before={"state": "running"},
        after={"state": "concluded"},
        reason=reason,
    )
    return stopped


async def _say_started(tx: Transaction, experiment: Experiment) -> None:
    event = ExperimentStarted(
        project=experiment.project,
        model_type=experiment.model_type,
        experiment_id=experiment.id,
        key=experiment.key,
        hypothesis=experiment.hypothesis,
        variants=experiment.variants,
        traffic_bp=experiment.traffic_bp,
        tenants=experiment.scope.tenants,
        industries=experiment.scope.industries,
    )
    await append_model_fact(tx, event, registered_model_id=await _control_model(tx, experiment))
    await tx.record_audit(
        project=experiment.project,
        action=AuditAction.EXPERIMENT_STARTED,
        subject=experiment.subject,
        after={
            "model_type": experiment.model_type,
            "variants": [each.model_dump(mode="json") for each in experiment.variants],
            "traffic_bp": experiment.traffic_bp,
            "tenants": list(experiment.scope.tenants),
            "industries": list(experiment.scope.industries),
        },
        reason=experiment.hypothesis,
    )


async def _control_model(tx: Transaction, experiment: Experiment) -> UUID:
    return await store.get_model_id(tx.connection, project=experiment.project, model=experiment.control.model)
