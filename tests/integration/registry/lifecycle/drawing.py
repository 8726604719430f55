"""Which command comes next: mostly one that could be accepted in the world as it is, often one that must not be."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.integration.registry.lifecycle.commands import Command
from tests.integration.registry.lifecycle.rules import (
    EVERYBODY,
    NO_STAGES,
    SERVING,
    STAGES,
    SYNONYMS,
)
from tests.integration.registry.lifecycle.world import CHAMPION, World

INDUSTRIES = {"alpha": None, "beta": None, "gamma": "retail", "delta": None}
"""The models that may be there; three of them share a slot."""

ALIASES = ("stable", "stable", "blue", CHAMPION)
AUCS = (0.7, 0.8, 0.9)
SEMVERS = ("1.0.0", "1.0.1", "v2.1.0", "3.0.0", "0.9.0")
EXPIRY_HOURS = 24

_RULE = {"to_stage": "production", "expiry_hours": EXPIRY_HOURS}
DEMANDS: tuple[dict[str, Any], ...] = (
    {},
    {"moves": [{**_RULE, "approvals": {"count": 1}}]},
    {"moves": [{**_RULE, "approvals": {"count": 1}}]},
    {"moves": [{**_RULE, "approvals": {"count": 1}}]},
    {"moves": [{**_RULE, "approvals": {"count": 1}, "apply": "on_command"}]},
    {"moves": [{**_RULE, "approvals": {"count": 2}}]},
    {"moves": [{**_RULE, "approvals": {"count": 2}, "apply": "on_command"}]},
    {"moves": [{**_RULE, "gates": [{"gate": "performance", "metric": "auc", "min": 0.8}]}]},
    {"moves": [{**_RULE, "approvals": {"count": 1}, "gates": [{"gate": "no_worse_than_champion"}]}]},
    {"moves": [{"to_stage": "staging", "gates": [{"gate": "review_approved"}]}]},
    {"moves": [{"from_stage": "canary", "to_stage": "production"}, {**_RULE, "approvals": {"count": 1}}]},
)
TABLES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {
        "allowed_moves": [
            {"from_stage": "development", "to_stage": "production"},
            {"from_stage": "development", "to_stage": "staging"},
            {"from_stage": "staging", "to_stage": "production"},
            {"from_stage": "production", "to_stage": "staging"},
            {"from_stage": "production", "to_stage": "archived"},
        ]
    },
)
CHAMPIONS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"champion": "manual"},
    {"champion": "if_better"},
    {"champion": "auto"},
)
ADMISSIONS: tuple[dict[str, Any], ...] = (
    *({},) * 8,
    {"review_statuses": ["approved"]},
    {"build_statuses": ["training", "ready"]},
)
PROTECTIONS: tuple[dict[str, Any], ...] = ({}, {}, {"protected_aliases": [{"alias": "stable", "role": "approver"}]})


@dataclass(slots=True, kw_only=True)
class Drawing:
    """Draws commands for one example."""

    world: World
    random: Random
    count: int = 0
    focus: str | None = None
    """The registered model that most commands are about."""

    def pick(self, choices: Sequence[Any]) -> Any:
        """One of them by chance; what stands there twice comes twice as often."""
        return self.random.choice(choices)

    def command(self, family: str) -> Command:
        """One command of a family."""
        op, args = getattr(self, f"_{family}")()
        self.count += 1
        return Command(
            id=f"{self.world.project}-{self.count}",
            op=op,
            actor=self._actor(op, args),
            args=args,
            if_match=self._if_match(op, args),
            key=None if op == "try_move" else self._key(),
        )

    def given(self, op: str, actor: str = "ann", /, **args: Any) -> Command:
        """A command that is not drawn."""
        self.count += 1
        return Command(id=f"{self.world.project}-{self.count}", op=op, actor=actor, args=args)

    def way_to_production(self) -> Iterator[Command]:
        """What a careful person would send next, until a version is in production or it cannot be helped.

        The caller keeps `world` as it is after each command.
        """
        there = [(m.name, v) for m in self.world.models.values() if not m.is_deleted for v in m.versions.values()]
        waiting = [(name, version) for name, version in there if version.stage in ("development", "staging", "canary")]
        if not waiting:
            return
        name, found = self.pick(waiting)
        version = {"name": name, "number": found.number}
        if found.health != "healthy":
            yield self.given("deploy", **version, place="a", health="healthy")
        for word in self.pick((("staging", "production"), ("staging", "canary", "production"))):
            model = self.world.models[name]
            holder = self.world.holder(model)
            replaces = holder.name if word == "production" and holder is not None else None
            if (model.versions[found.number].stage, word) not in self.world.table(model):
                continue
            yield self.given("move", **version, word=word, replaces=replaces)
            if self.world.models[name].versions[found.number].stage != word:
                yield from self._agreement({**version, "word": word, "replaces": replaces})

    def _agreement(self, move: dict[str, Any]) -> Iterator[Command]:
        yield self.given("review", "bob", name=move["name"], number=move["number"], status="approved")
        yield self.given("ask", **move)
        for request in [each for each in self.world.requests.values() if each.state == "pending"]:
            for actor in ("cem", "dee"):
                yield self.given("approve", actor, request=request.id, comment=None)
            yield self.given("apply", request=request.id, comment=None)

    def _key(self) -> str | None:
        # Keys are the callers' own across all projects, and after a day they are forgotten one by one.
        key = self.pick((None, None, None, None, "a", "b"))
        return None if key is None else f"{self.world.project}-{self.world.day}-{key}"

    def _actor(self, op: str, args: dict[str, Any]) -> str:
        request = self.world.requests.get(args.get("request", ""))
        if op in ("approve", "reject"):
            return str(self.pick(("cem", "dee", "cem", "dee", "bob", "ann", "eve")))
        if op in ("withdraw", "apply") and request is not None:
            return str(self.pick((request.requester, request.requester, *EVERYBODY)))
        return str(self.pick(("ann",) * 12 + ("bob",) * 8 + ("fay", "fay", "eve", "cem")))

    def _if_match(self, op: str, args: dict[str, Any]) -> int | None:
        if op in ("create", "set_alias", "delete_alias", "start", "stop"):
            return None
        if op == "try_move" or self.pick((True, True, False)):
            return None
        return max(0, self._present(op, args) + int(self.pick((0, 0, 0, -1, 1))))

    def _present(self, op: str, args: dict[str, Any]) -> int:
        model = self.world.models.get(args.get("name") or "")
        if op == "set_policy":
            return self.world.policy_revision if model is None else model.policy_revision
        if "request" in args:
            request = self.world.requests.get(args["request"])
            return 1 if request is None else request.revision
        if model is None:
            return 1
        if op in ("rename", "describe", "delete", "restore", "register", "appoint", "roll_back"):
            return model.revision
        version = model.versions.get(args["number"])
        return 1 if version is None else version.revision

    def _name(self) -> str:
        there = tuple(self.world.models)
        likely = there if self.focus is None else (self.focus,) * len(there)
        return str(self.pick((*likely * 4, *INDUSTRIES)))

    def _version(self) -> dict[str, Any]:
        name = self._name()
        numbers = tuple(getattr(self.world.models.get(name), "versions", ()))
        number = self.pick(numbers * 8 + (9,))
        return {"name": name, "number": number}

    def _at(self, stages: frozenset[str]) -> dict[str, Any]:
        """A version, most often one in these stages."""
        there = [(m.name, v.number) for m in self.world.models.values() for v in m.versions.values()]
        ready = [key for key in there if self.world.models[key[0]].versions[key[1]].stage in stages]
        name, number = self.pick((*there, *ready, *ready, *ready, ("alpha", 9)))
        return {"name": name, "number": number}

    def _word(self, version: dict[str, Any]) -> str:
        model = self.world.models.get(version["name"])
        found = None if model is None else model.versions.get(version["number"])
        allowed: list[str] = []
        if model is not None and found is not None:
            table = self.world.table(model)
            allowed = sorted(to for from_, to in table if from_ == found.stage)
            allowed += ["production"] * 3 * ("production" in allowed)
        other = (self.pick((*STAGES, *SYNONYMS, *NO_STAGES)),)
        return str(self.pick((*allowed, *allowed, *other)))

    def _replaces(self, name: str) -> str | None:
        model = self.world.models.get(name)
        holder = None if model is None else self.world.holder(model)
        likely = () if holder is None else (holder.name,) * 3
        choice: str | None = self.pick((None, *likely, *((None,) * (8 - len(likely))), "beta"))
        return choice

    def _models(self) -> tuple[str, dict[str, Any]]:
        op = self.pick(("create", "rename", "rename", "describe", "describe", "delete", "restore"))
        name = self.pick(tuple(INDUSTRIES)) if op == "create" else self._name()
        match op:
            case "create":
                return op, {"name": name, "industry": INDUSTRIES[name]}
            case "rename":
                return op, {"name": name, "new_name": self.pick((*INDUSTRIES, "omega"))}
            case "describe":
                return op, {"name": name, "description": self.pick(("old", "new", None))}
        return op, {"name": name}

    def _register(self) -> tuple[str, dict[str, Any]]:
        way = self.pick(("none", "none", "semver", "change_type"))
        kinds = ("major", "minor", "patch")
        unknown = "sha256:" + "0" * 64
        return "register", {
            "name": self._name(),
            "digest": self.pick((*sorted(self.world.artifacts) * 3, unknown)),
            "auc": self.pick(AUCS),
            "data": self.pick(("v1", "v1", "v2", None)),
            "semver": self.pick(SEMVERS) if way == "semver" else None,
            "change_type": self.pick(kinds) if way == "change_type" else None,
            "run_id": self.pick((None, None, "run-1", "run-2")),
        }

    def _move(self) -> tuple[str, dict[str, Any]]:
        version = self._version()
        op = self.pick(("move", "move", "move", "try_move"))
        return op, {**version, "word": self._word(version), "replaces": self._replaces(version["name"])}

    def _ask(self) -> tuple[str, dict[str, Any]]:
        version = self._version()
        word = self.pick(("production", "production", self._word(version)))
        return "ask", {**version, "word": word, "replaces": self._replaces(version["name"])}

    def _judge(self) -> tuple[str, dict[str, Any]]:
        ids = tuple(self.world.requests)
        if not ids and self.pick((True, True, False)):
            return self._ask()
        ready = tuple(id_ for id_ in ids if self.world.requests[id_].state in ("pending", "approved"))
        request = self.pick((*ready, *ready, *ready, *ready, *ids, str(uuid.UUID(int=1))))
        agreed = [id_ for id_ in ready if self.world.requests[id_].state == "approved"]
        if agreed and self.pick((True, False)):
            return "apply", {"request": self.pick(agreed), "comment": None}
        op = self.pick(("approve",) * 4 + ("apply",) * 2 + ("reject", "withdraw"))
        return op, {"request": request, "comment": self.pick((None, "looked at it"))}

    def _deploy(self) -> tuple[str, dict[str, Any]]:
        health = self.pick(("healthy", "healthy", "unknown", "unhealthy"))
        op = self.pick(("deploy", "deploy", "ask_endpoint"))
        version = self._version() if op == "deploy" else self._at(SERVING)
        return op, {**version, "place": self.pick(("a", "b")), "health": health}

    def _quarantine(self) -> tuple[str, dict[str, Any]]:
        return "quarantine", {**self._version(), "quarantined": self.pick((True, False))}

    def _say(self) -> tuple[str, dict[str, Any]]:
        op = self.pick(("review", "annotate", "build"))
        if op == "build":
            return op, {**self._version(), "status": self.pick(("evaluating", "ready", "ready", "failed", "training"))}
        if op == "review":
            statuses = ("pending_review", "approved", "rejected")
            return op, {**self._version(), "status": self.pick(statuses)}
        return op, {**self._version(), "description": self.pick(("good", "bad", None))}

    def _alias(self) -> tuple[str, dict[str, Any]]:
        version, alias = self._version(), self.pick(ALIASES)
        model = self.world.models.get(version["name"])
        if model is not None:
            alias = self.pick((alias, *sorted(set(model.aliases) - {CHAMPION}) * 2))
        present = None if model is None else model.aliases.get(alias)
        if self.pick((True, False)):
            expected = self.pick((present, present, 1, None))
            return "set_alias", {
                **version,
                "alias": alias,
                "expected": expected,
                "is_expected": self.pick((True, False)),
            }
        expected = self.pick((present or 1, 2))
        args = {"name": version["name"], "alias": alias, "expected": expected}
        return "delete_alias", {**args, "is_expected": self.pick((True, False))}

    def _appoint(self) -> tuple[str, dict[str, Any]]:
        version = self._version()
        champion = getattr(self.world.models.get(version["name"]), "champion", None)
        replaces = self.pick((champion, champion, champion, None, 1))
        return "appoint", {**version, "replaces": replaces, "replaces_model": self._replaces(version["name"])}

    def _roll_back(self) -> tuple[str, dict[str, Any]]:
        led = [name for name, model in self.world.models.items() if model.champion is not None]
        twice = [name for name in led if len(self.world.models[name].reigns) > 1]
        name = self.pick((*led * 3, *twice * 9, *INDUSTRIES))
        champion = getattr(self.world.models.get(name), "champion", None)
        return "roll_back", {"name": name, "replaces": self.pick((champion or 1,) * 4 + (2,))}

    def _policy(self) -> tuple[str, dict[str, Any]]:
        policy = {
            name: value
            for choices in (DEMANDS, TABLES, CHAMPIONS, ADMISSIONS, PROTECTIONS)
            for name, value in self.pick(choices).items()
        }
        return "set_policy", {"name": self.pick((None, None, self._name())), "policy": policy}

    def _experiment(self) -> tuple[str, dict[str, Any]]:
        keys = ("s", "t", "u", "v", "x", "y", "z")
        running = tuple(each.key for each in self.world.experiments.values() if each.is_running)
        if self.pick((True, False, False) if running else (True, True, False)):
            industries = self.pick(((), ("retail",), ("wholesale",)))
            return "start", {**self._treatment(), "key": self.pick(keys), "industries": industries}
        return "stop", {"key": self.pick((*running * 9, *keys))}

    def _treatment(self) -> dict[str, Any]:
        """A version, most often one that may be compared with the champion: others are nearly always refused."""
        ready = [
            {"name": model.name, "number": version.number}
            for model in self.world.models.values()
            for version in model.versions.values()
            if version.stage in SERVING and version.number != model.champion and not version.quarantined and version.url
        ]
        picked: dict[str, Any] = self.pick((self._at(SERVING), *ready * 3))
        return picked
