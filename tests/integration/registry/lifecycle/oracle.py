"""What a command must lead to: the answer, the state after it, its facts and its audit entries."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.integration.registry.lifecycle import oracle_models, oracle_moves, oracle_requests, oracle_routing
from tests.integration.registry.lifecycle.commands import Command, http_of
from tests.integration.registry.lifecycle.rules import MAY, stage_of
from tests.integration.registry.lifecycle.told import Entry, Fact, Told
from tests.integration.registry.lifecycle.world import RefusedError, World

Rule = Callable[[Told, Command], dict[str, Any]]

RULES: dict[str, Rule] = {
    **oracle_models.RULES,
    **oracle_moves.RULES,
    **oracle_requests.RULES,
    **oracle_routing.RULES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The answer's status and some of its document, and everything that must be told of it."""

    status: int
    says: dict[str, Any] = field(default_factory=dict)
    facts: tuple[Fact, ...] = ()
    entries: tuple[Entry, ...] = ()


def expect(world: World, command: Command, *, new_id: str | None) -> tuple[World, Expected]:
    """The world after `command`, and what is to be seen of it; `new_id` is the id that the registry gave out.

    A refused command leaves the world as it was.
    """
    told = Told(world=world.copy(), command=command, new_id=new_id)
    try:
        if command.actor not in MAY[command.op]:
            raise RefusedError(403)
        _refuse_malformed(command)
        kept = _kept_answer(world, command)
        if kept is not None:
            return world, kept
        _refuse_changed(world, command)
        says = RULES[command.op](told, command)
    except RefusedError as refused:
        entries = (Entry(action=None, subject=None),) if refused.is_recorded else ()
        return world, Expected(status=refused.status, entries=entries)
    if command.key is not None:
        told.world.answers[command.actor, command.key] = (_fingerprint(command), told.status, says)
    return told.world, Expected(status=told.status, says=says, facts=tuple(told.facts), entries=tuple(told.entries))


def _refuse_malformed(command: Command) -> None:
    if "word" in command.args and stage_of(command.args["word"]) is None:
        raise RefusedError(422)


def _kept_answer(world: World, command: Command) -> Expected | None:
    if command.key is None or (command.actor, command.key) not in world.answers:
        return None
    fingerprint, status, says = world.answers[command.actor, command.key]
    if fingerprint != _fingerprint(command):
        raise RefusedError(409)
    return Expected(status=status, says=says)


def _fingerprint(command: Command) -> Any:
    method, path, document, _ = http_of(command)
    return method, path, document


def _refuse_changed(world: World, command: Command) -> None:
    if command.if_match is None:
        return
    if _revision(world, command) != command.if_match:
        raise RefusedError(412)


def _revision(world: World, command: Command) -> int:
    """The present revision of what the command would change, deleted or not."""
    name = command.args.get("name")
    if command.op == "set_policy":
        return world.policy_revision if name is None else world.model(name).policy_revision
    if command.op in ("rename", "describe", "delete", "restore", "register", "appoint", "roll_back"):
        if name not in world.models:
            raise RefusedError(404)
        return world.models[name].revision
    if "request" in command.args:
        return world.request(command.args["request"]).revision
    return world.version(str(name), command.args["number"])[1].revision
