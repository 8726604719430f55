"""Transitions, the champion, rollback and deployments: what each command must lead to."""

from dataclasses import dataclass
from typing import Any

from tests.integration.registry.lifecycle.commands import Command, url_of
from tests.integration.registry.lifecycle.oracle_models import move_alias, version_subject
from tests.integration.registry.lifecycle.oracle_routing import conclude_touching
from tests.integration.registry.lifecycle.rules import DEPRECATED, PRODUCTION, needs_of, stage_of
from tests.integration.registry.lifecycle.told import Told
from tests.integration.registry.lifecycle.world import CHAMPION, Model, RefusedError, Version, World

HEALTHY_ENOUGH = ("healthy", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A move that nothing by itself stands against: what the policy demands, and whether the champion moves."""

    model: Model
    version: Version
    to_stage: str
    approvals: int
    is_automatic: bool
    becomes_champion: bool
    passes_gates: bool


def plan_move(world: World, name: str, number: int, to_stage: str, replaces: str | None) -> Plan:
    """The move as it may be made, or 404, or 409."""
    model, version = world.version(name, number)
    serving, holder = world.serving(model), world.holder(model)
    move = (version.stage, to_stage)
    becomes_champion = to_stage == PRODUCTION and _succeeds(world, model, version, serving)
    holder_name = None if holder is None else holder.name
    if move not in world.table(model) or (replaces is not None and not (becomes_champion and replaces == holder_name)):
        raise RefusedError(409)
    met = {
        "not quarantined": not version.quarantined,
        "admitted": world.admits(model, version),
        "endpoint": version.health in HEALTHY_ENOUGH,
        "not compared": (name, number) not in world.variants(),
        "not champion": model.champion != number,
        "free slot": not becomes_champion or holder_name in (None, replaces),
    }
    if not all(met[need] for need in needs_of(move)):
        raise RefusedError(409)
    rule = world.rule(model, move)
    return Plan(
        model=model,
        version=version,
        to_stage=to_stage,
        approvals=(rule.get("approvals") or {"count": 0})["count"],
        is_automatic=rule.get("apply") != "on_command",
        becomes_champion=becomes_champion,
        passes_gates=all(_passes(gate, model, version, serving) for gate in rule.get("gates", ())),
    )


def make_move(told: Told, plan: Plan, *, request_id: str | None) -> None:
    """Make a planned move, with the champions' aliases when it changes who serves the slot."""
    holder = told.world.holder(plan.model)
    change_stage(told, plan.model, plan.version, plan.to_stage, request_id=request_id)
    if plan.becomes_champion:
        if holder is not None:
            move_alias(told, holder, CHAMPION, None, cause="replacement")
        move_alias(told, plan.model, CHAMPION, plan.version.number, cause="promotion")


def change_stage(told: Told, model: Model, version: Version, to_stage: str, *, request_id: str | None) -> None:
    """The version's row, its history and the facts and entries about it."""
    before = version.stage
    version.moves.append((before, to_stage, request_id))
    version.stage, version.revision = to_stage, version.revision + 1
    says: dict[str, Any] = {
        "number": version.number,
        "from_stage": before,
        "to_stage": to_stage,
        "revision": version.revision,
    }
    told.fact(model, "model_version.transitioned", **{**says, "request_id": request_id})
    told.entry(
        "model_version.transitioned", version_subject(model, version.number), {"stage": before}, {"stage": to_stage}
    )


def move(told: Told, command: Command) -> dict[str, Any]:
    plan = _plan_of(told, command)
    if not plan.passes_gates or plan.approvals:
        raise RefusedError(409)
    make_move(told, plan, request_id=None)
    return {"stage": plan.to_stage, "revision": plan.version.revision}


def try_move(told: Told, command: Command) -> dict[str, Any]:
    try:
        plan = _plan_of(told, command)
    except RefusedError as refused:
        if refused.status == 409:
            return {"allowed": False, "moves_champion": False}
        raise
    return {
        "allowed": plan.passes_gates,
        "approvals_needed": plan.approvals,
        "moves_champion": plan.becomes_champion,
    }


def deploy(told: Told, command: Command) -> dict[str, Any]:
    args = command.args
    model, version = told.world.version(args["name"], args["number"])
    url = url_of(args)
    if (url, args["health"]) == (version.url, version.health):
        return {"health": version.health}
    if url != version.url and told.world.endpoint_guard(model, version) is not None:
        raise RefusedError(409)
    record_endpoint(told, model, version, (url, args["health"]), request_id=None)
    return {"health": version.health}


def record_endpoint(
    told: Told, model: Model, version: Version, endpoint: tuple[str, str], *, request_id: str | None
) -> None:
    """The deployment, with its facts and entries; only another URL makes the version another one to its approvers."""
    if endpoint[0] != version.url:
        version.endpoint_revision, version.revision = version.endpoint_revision + 1, version.revision + 1
    version.url, version.health = endpoint
    says: dict[str, Any] = {"number": version.number, "health": version.health, "revision": version.revision}
    told.fact(model, "deployment.recorded", **says, request_id=request_id)
    subject = f"{version_subject(model, version.number)}/deployments/production"
    told.entry("deployment.recorded", subject, None, {"health": version.health})


def appoint(told: Told, command: Command) -> dict[str, Any]:
    args = command.args
    model, version = told.world.version(args["name"], args["number"])
    if model.champion != args["replaces"]:
        raise RefusedError(409)
    if model.champion == version.number:
        return {"number": version.number}
    holder = told.world.holder(model)
    may_serve = (
        version.stage == PRODUCTION and told.world.may_be_served(model, version) and version.health in HEALTHY_ENOUGH
    )
    is_agreed = told.world.is_agreed(model, version)
    names_holder = args["replaces_model"] == (None if holder is None else holder.name)
    if told.world.champion_policy(model) != "manual" or not may_serve or not names_holder or not is_agreed:
        raise RefusedError(409)
    if holder is not None:
        move_alias(told, holder, CHAMPION, None, cause="replacement")
    move_alias(told, model, CHAMPION, version.number, cause="appointment")
    return {"number": version.number}


def roll_back(told: Told, command: Command) -> dict[str, Any]:
    model = told.world.model(command.args["name"])
    if model.champion is None or model.champion != command.args["replaces"]:
        raise RefusedError(409)
    replaced, restored = model.versions[model.champion], _former_champion(told.world, model)
    if restored is None:
        raise RefusedError(409)
    if restored.stage != PRODUCTION:
        change_stage(told, model, restored, PRODUCTION, request_id=None)
    move_alias(told, model, CHAMPION, restored.number, cause="rollback")
    change_stage(told, model, replaced, DEPRECATED, request_id=None)
    told.fact(model, "model_version.rolled_back", replaced=replaced.number, restored=restored.number)
    before, after = {CHAMPION: replaced.number}, {CHAMPION: restored.number}
    told.entry("model_version.rolled_back", version_subject(model, replaced.number), before, after)
    conclude_touching(told, (model.name, replaced.number))
    return {"replaced": replaced.number, "restored": restored.number}


def _plan_of(told: Told, command: Command) -> Plan:
    args, to_stage = command.args, stage_of(command.args["word"])
    if to_stage is None:
        raise RefusedError(422)
    return plan_move(told.world, args["name"], args["number"], to_stage, args["replaces"])


def _former_champion(world: World, model: Model) -> Version | None:
    """The most recent champion that nothing was rolled back from, and that may be served."""
    return next((each for each in world.former_champions(model) if world.may_be_served(model, each)), None)


def _succeeds(world: World, model: Model, version: Version, serving: tuple[Model, Version] | None) -> bool:
    policy = world.champion_policy(model)
    if policy != "if_better" or serving is None:
        return policy != "manual"
    return _is_comparable(version, serving[1]) and version.auc > serving[1].auc


def _is_comparable(version: Version, champion: Version) -> bool:
    return version.data is not None and version.data == champion.data


def _passes(gate: dict[str, Any], model: Model, version: Version, serving: tuple[Model, Version] | None) -> bool:
    match gate["gate"]:
        case "performance":
            return bool(version.auc >= gate["min"])
        case "review_approved":
            return version.review == "approved"
        case "no_worse_than_champion":
            if serving is None or serving[1] is version:
                return True
            return _is_comparable(version, serving[1]) and version.auc >= serving[1].auc
    raise AssertionError(f"no such gate: {gate}")


RULES = {
    "move": move,
    "try_move": try_move,
    "deploy": deploy,
    "appoint": appoint,
    "roll_back": roll_back,
}
