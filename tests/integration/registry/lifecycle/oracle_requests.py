"""Transition requests: who may ask, agree, refuse and take back, and what is done in the end."""

from typing import Any

from tests.integration.registry.lifecycle.commands import Command, url_of
from tests.integration.registry.lifecycle.oracle_moves import Plan, make_move, plan_move, record_endpoint
from tests.integration.registry.lifecycle.rules import stage_of
from tests.integration.registry.lifecycle.told import Told
from tests.integration.registry.lifecycle.world import Model, RefusedError, Request, Version

OPEN = ("pending", "approved")


def ask(told: Told, command: Command) -> dict[str, Any]:
    args, to_stage, world = command.args, stage_of(command.args["word"]), told.world
    if to_stage is None:
        raise RefusedError(422)
    plan = plan_move(world, args["name"], args["number"], to_stage, args["replaces"])
    if not plan.passes_gates or not plan.approvals:
        raise RefusedError(409)
    made: dict[str, Any] = {"to_stage": to_stage, "needed": plan.approvals, "is_automatic": plan.is_automatic}
    return _make_request(told, command, plan.model, plan.version, replaces=args["replaces"], **made)


def ask_endpoint(told: Told, command: Command) -> dict[str, Any]:
    args, world = command.args, told.world
    model, version = world.version(args["name"], args["number"])
    guard = world.endpoint_guard(model, version)
    url = url_of(args)
    if url == version.url or guard is None:
        raise RefusedError(409)
    made: dict[str, Any] = {"needed": guard["approvals"]["count"], "is_automatic": guard.get("apply") != "on_command"}
    endpoint = (url, args["health"])
    return _make_request(told, command, model, version, to_stage=version.stage, endpoint=endpoint, **made)


def _make_request(
    told: Told,
    command: Command,
    model: Model,
    version: Version,
    *,
    to_stage: str,
    replaces: str | None = None,
    **made: Any,
) -> dict[str, Any]:
    world = told.world
    for request in list(world.requests.values()):
        is_same = (request.model, request.number, request.to_stage) == (model.name, version.number, to_stage)
        if request.state in OPEN and is_same:
            if world.state_of(request) == "expired":
                end(told, request, "expired")
            elif request.requester == command.actor and world.bound(model, version) != request.bound:
                end(told, request, "withdrawn")
            else:
                raise RefusedError(409)
    request = Request(
        id=told.new_id or "?",
        model=model.name,
        number=version.number,
        to_stage=to_stage,
        replaces=replaces,
        requester=command.actor,
        bound=world.bound(model, version),
        made_at=world.day,
        **made,
    )
    world.requests[request.id] = request
    told.fact(model, "transition_request.created", request_id=request.id, to_stage=to_stage)
    told.entry("transition_request.created", request.subject, None, {"to_stage": to_stage})
    told.status = 201
    # Only this tells a request that came before a policy, made at once, from one that came after it.
    bound = {
        "project_policy_revision": world.policy_revision,
        "model_policy_revision": model.policy_revision,
        "champion": world.serving_name(model),
    }
    return {"approvals_needed": request.needed, "from_stage": version.stage, "bound": bound, **_summary(request)}


def approve(told: Told, command: Command) -> dict[str, Any]:
    request = _request(told, command)
    _refuse_decision(told, command, request)
    _refuse_stale(told, request)
    model = told.world.model(request.model)
    before = request.state
    request.decisions.append((command.actor, "approval"))
    request.revision += 1
    request.state = "approved" if len(request.approvers) >= request.needed else "pending"
    told.fact(model, "approval.given", approver=command.actor, approvals=len(request.approvers))
    told.entry("approval.given", request.subject, {"state": before}, {"state": request.state})
    if request.state == "approved" and request.is_automatic:
        _do(told, request)
    return _summary(request)


def reject(told: Told, command: Command) -> dict[str, Any]:
    request = _request(told, command)
    _refuse_decision(told, command, request)
    request.decisions.append((command.actor, "rejection"))
    end(told, request, "rejected")
    return _summary(request)


def withdraw(told: Told, command: Command) -> dict[str, Any]:
    request = _request(told, command)
    _refuse_closed(told, request)
    if command.actor != request.requester:
        raise RefusedError(403, is_recorded=True)
    end(told, request, "withdrawn")
    return _summary(request)


def apply(told: Told, command: Command) -> dict[str, Any]:
    request = _request(told, command)
    _refuse_closed(told, request)
    if len(request.approvers) < request.needed:
        raise RefusedError(409)
    _do(told, request)
    return _summary(request)


def sweep(told: Told) -> None:
    """End every request whose time is over."""
    for request in told.world.requests.values():
        if request.state in OPEN and told.world.state_of(request) == "expired":
            end(told, request, "expired")


def end(told: Told, request: Request, state: str) -> None:
    """The request's last state, and its facts and entries."""
    before, request.state, request.revision = request.state, state, request.revision + 1
    model = told.world.models[request.model]
    told.fact(model, "transition_request.ended", request_id=request.id, state=state)
    told.entry(f"transition_request.{state}", request.subject, {"state": before}, {"state": state})


def _do(told: Told, request: Request) -> None:
    _refuse_stale(told, request)
    if request.endpoint is not None:
        model, version = told.world.version(request.model, request.number)
        record_endpoint(told, model, version, request.endpoint, request_id=request.id)
        end(told, request, "applied")
        return
    plan: Plan = plan_move(told.world, request.model, request.number, request.to_stage, request.replaces)
    if not plan.passes_gates:
        raise RefusedError(409)
    make_move(told, plan, request_id=request.id)
    end(told, request, "applied")


def _request(told: Told, command: Command) -> Request:
    return told.world.request(command.args["request"])


def _refuse_closed(told: Told, request: Request) -> None:
    if told.world.state_of(request) not in OPEN:
        raise RefusedError(409)


def _refuse_decision(told: Told, command: Command, request: Request) -> None:
    _refuse_closed(told, request)
    if command.actor == request.requester:
        raise RefusedError(403, is_recorded=True)
    if command.actor in [actor for actor, _ in request.decisions]:
        raise RefusedError(409)


def _refuse_stale(told: Told, request: Request) -> None:
    model, version = told.world.version(request.model, request.number)
    if told.world.bound(model, version) != request.bound:
        raise RefusedError(409)


def _summary(request: Request) -> dict[str, Any]:
    return {"state": request.state, "approvals_given": len(request.approvers), "revision": request.revision}


RULES = {
    "ask": ask,
    "ask_endpoint": ask_endpoint,
    "approve": approve,
    "reject": reject,
    "withdraw": withdraw,
    "apply": apply,
}
