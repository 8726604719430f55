"""Experiments: what starting and stopping one must lead to."""

from typing import Any

from tests.integration.registry.lifecycle.commands import Command
from tests.integration.registry.lifecycle.rules import SERVING
from tests.integration.registry.lifecycle.told import Told
from tests.integration.registry.lifecycle.world import Experiment, RefusedError, World


def start(told: Told, command: Command) -> dict[str, Any]:
    args, world = command.args, told.world
    model, version = world.version(args["name"], args["number"])
    industries = tuple(args["industries"])
    control = _control(world)
    treatment = (model.name, version.number)
    is_routable = (
        world.is_agreed(model, version)
        and version.stage in SERVING
        and not version.quarantined
        and version.url is not None
    )
    overlaps = any(each.is_running and _meet(each.industries, industries) for each in world.experiments.values())
    if overlaps or control in (None, treatment) or not is_routable or args["key"] in world.experiments:
        raise RefusedError(409)
    assert control is not None
    experiment = Experiment(key=args["key"], industries=industries, control=control, treatment=treatment)
    world.experiments[experiment.key] = experiment
    told.fact(world.models[control[0]], "experiment.started", key=experiment.key)
    told.entry("experiment.started", f"experiments/{experiment.key}")
    told.status = 201
    return {"key": experiment.key, "state": "running"}


def stop(told: Told, command: Command) -> dict[str, Any]:
    experiment = told.world.experiments.get(command.args["key"])
    if experiment is None:
        raise RefusedError(404)
    if not experiment.is_running:
        raise RefusedError(409)
    conclude(told, experiment)
    return {"state": "concluded"}


def conclude_touching(told: Told, variant: tuple[str, int]) -> None:
    """End the running experiments that a version is part of."""
    for key in sorted(told.world.experiments):
        experiment = told.world.experiments[key]
        if experiment.is_running and variant in (experiment.control, experiment.treatment):
            conclude(told, experiment)


def conclude(told: Told, experiment: Experiment) -> None:
    experiment.is_running = False
    told.fact(told.world.models[experiment.control[0]], "experiment.stopped", key=experiment.key)
    before, after = {"state": "running"}, {"state": "concluded"}
    told.entry("experiment.stopped", f"experiments/{experiment.key}", before, after)


def _control(world: World) -> tuple[str, int] | None:
    """Who serves callers of whom nothing is known: the global champion, unless it is in quarantine.

    The models of industries here have too few training examples to be chosen.
    """
    for model in world.models.values():
        if model.industry is None and model.champion is not None:
            champion = model.versions[model.champion]
            return None if champion.quarantined else (model.name, champion.number)
    return None


def _meet(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    return not ours or not theirs or not set(ours).isdisjoint(theirs)


RULES = {"start": start, "stop": stop}
