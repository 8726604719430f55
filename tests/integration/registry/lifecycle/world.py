"""What the registry should hold: models, versions, policies, requests and experiments in plain values."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from tests.integration.registry.lifecycle.rules import (
    BUILD_STATUSES,
    DEPRECATED,
    DEVELOPMENT,
    PRODUCTION,
    REVIEW_STATUSES,
    SERVING,
    STAGES,
    Move,
    table_of,
)

Policy = dict[str, Any]
CHAMPION = "champion"


class RefusedError(Exception):
    """The call must be refused with this status; `is_recorded` when the refusal is an entry of the audit log."""

    def __init__(self, status: int, *, is_recorded: bool | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.is_recorded = status in (409, 412) if is_recorded is None else is_recorded


@dataclass(slots=True, kw_only=True)
class Version:
    """A version as it should stand."""

    number: int
    semver: tuple[int, int, int]
    digest: str
    run_id: str | None
    auc: float
    data: str | None
    stage: str = DEVELOPMENT
    quarantined: bool = False
    build: str = "ready"
    review: str = "pending_review"
    description: str | None = None
    revision: int = 1
    url: str | None = None
    endpoint_revision: int = 0
    health: str | None = None
    moves: list[tuple[str, str, str | None]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Model:
    """A registered model as it should stand. `reigns` are the moves of its champion: from, to, cause."""

    name: str
    industry: str | None
    revision: int = 1
    sequence: int = 0
    description: str | None = None
    is_deleted: bool = False
    versions: dict[int, Version] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    reigns: list[tuple[int | None, int | None, str]] = field(default_factory=list)
    policy: Policy = field(default_factory=dict)
    policy_revision: int = 0

    @property
    def champion(self) -> int | None:
        return self.aliases.get(CHAMPION)


@dataclass(slots=True, kw_only=True)
class Request:
    """A transition request as it should stand; with an `endpoint` (URL and health) it is about that."""

    id: str
    model: str
    number: int
    to_stage: str
    replaces: str | None
    requester: str
    needed: int
    is_automatic: bool
    bound: tuple[Any, ...]
    made_at: int
    endpoint: tuple[str, str] | None = None
    state: str = "pending"
    decisions: list[tuple[str, str]] = field(default_factory=list)
    revision: int = 1

    @property
    def approvers(self) -> list[str]:
        return [actor for actor, kind in self.decisions if kind == "approval"]

    @property
    def subject(self) -> str:
        return f"registered-models/{self.model}/versions/{self.number}/transition-requests/{self.id}"


@dataclass(slots=True, kw_only=True)
class Experiment:
    """An experiment as it should stand; variants are (model, number)."""

    key: str
    industries: tuple[str, ...]
    control: tuple[str, int]
    treatment: tuple[str, int]
    is_running: bool = True


@dataclass(slots=True, kw_only=True)
class World:
    """One project. `day` counts the days that were let pass."""

    project: str
    models: dict[str, Model] = field(default_factory=dict)
    former_names: dict[str, str] = field(default_factory=dict)
    policy: Policy = field(default_factory=dict)
    policy_revision: int = 0
    requests: dict[str, Request] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[Any, int, dict[str, Any]]] = field(default_factory=dict)
    artifacts: frozenset[str] = frozenset()
    day: int = 0

    def copy(self) -> "World":
        return deepcopy(self)

    def model(self, name: str) -> Model:
        """The model that is there under this name, or 404."""
        found = self.models.get(name)
        if found is None or found.is_deleted:
            raise RefusedError(404)
        return found

    def version(self, name: str, number: int) -> tuple[Model, Version]:
        """The version, or 404."""
        model = self.model(name)
        if number not in model.versions:
            raise RefusedError(404)
        return model, model.versions[number]

    def request(self, id_: str) -> Request:
        """The transition request of a version that is there, or 404."""
        if id_ not in self.requests:
            raise RefusedError(404)
        found = self.requests[id_]
        self.version(found.model, found.number)
        return found

    def slot(self, model: Model) -> list[Model]:
        """The models that are in the same slot, deleted ones too."""
        return [each for each in self.models.values() if each.industry == model.industry]

    def holder(self, model: Model) -> Model | None:
        """The other model whose champion serves the slot."""
        others = (each for each in self.slot(model) if each.champion is not None and each is not model)
        return next(others, None)

    def serving(self, model: Model) -> tuple[Model, Version] | None:
        """The champion of the slot, of whichever model."""
        holder = model if model.champion is not None else self.holder(model)
        if holder is None or holder.champion is None:
            return None
        return holder, holder.versions[holder.champion]

    def serving_name(self, model: Model) -> str | None:
        """The champion of the slot as requests name it."""
        found = self.serving(model)
        return None if found is None else f"{found[0].name}/{found[1].number}"

    def table(self, model: Model) -> frozenset[Move]:
        """The moves that there are for a model's versions."""
        allowed = self._own(model, "allowed_moves")
        return table_of(allowed and [(move["from_stage"], move["to_stage"]) for move in allowed])

    def champion_policy(self, model: Model) -> str:
        return str(self._own(model, "champion") or "auto")

    def protected(self, model: Model) -> set[str]:
        """The aliases that take an approver."""
        given = [*self.policy.get("protected_aliases", ()), *model.policy.get("protected_aliases", ())]
        return {each["alias"] for each in given}

    def rule(self, model: Model, move: tuple[str | None, str]) -> dict[str, Any]:
        """What the policies demand of a move: the model's own first, one for both stages before one for all."""
        for policy in (model.policy, self.policy):
            rules = {(each.get("from_stage"), each["to_stage"]): each for each in policy.get("moves", ())}
            found = rules.get(move) or rules.get((None, move[1]))
            if found is not None:
                return dict(found)
        return {}

    def guard(self, model: Model, stage: str) -> dict[str, Any] | None:
        """The rule by which most people must agree before a version gets into this stage, by whichever of its moves."""
        rules = [self.rule(model, (from_stage, stage)) for from_stage in (*STAGES, None)]
        return max((each for each in rules if "approvals" in each), key=_count, default=None)

    def former_champions(self, model: Model) -> list[Version]:
        """The champions before, newest first, that nothing was rolled back from and that stand where they may serve."""
        stack: list[int] = []
        for _, to_number, cause in model.reigns:
            if to_number is None:
                continue
            if to_number in stack and cause == "rollback":
                stack = stack[: stack.index(to_number)]
            stack = [*(number for number in stack if number != to_number), to_number]
        former = [model.versions[number] for number in reversed(stack[:-1])]
        return [each for each in former if each.stage in (PRODUCTION, DEPRECATED)]

    def stand_in(self, model: Model) -> Version | None:
        """Who answers when the endpoint of the model's champion fails."""
        if model.champion is None:
            return None
        sound = [
            each
            for each in self.former_champions(model)
            if not each.quarantined and each.review != "rejected" and each.build != "failed"
        ]
        return next((each for each in sound[:1] if each.url is not None), None)

    def endpoint_guard(self, model: Model, version: Version) -> dict[str, Any] | None:
        """The rule by which people must agree to where the version answers, when it can get traffic."""
        if version.stage in SERVING:
            return self.guard(model, version.stage)
        return self.guard(model, PRODUCTION) if version.stage == DEPRECATED else None

    def is_agreed(self, model: Model, version: Version) -> bool:
        """Whether people agreed to the version in its stage, as the policies demand now."""
        if self.guard(model, version.stage) is None:
            return True
        arrivals = [(come, on) for come, to, on in version.moves if to == version.stage]
        return any(
            on is not None or not self.rule(model, (come, version.stage)).get("approvals") for come, on in arrivals
        )

    def admits(self, model: Model, version: Version) -> bool:
        """Whether a version of these statuses goes to staging or beyond."""
        builds = self._own(model, "build_statuses") or BUILD_STATUSES
        return version.build in builds and version.review in (self._own(model, "review_statuses") or REVIEW_STATUSES)

    def may_be_served(self, model: Model, version: Version) -> bool:
        """Whether nothing that people said about the version stands against it."""
        return not version.quarantined and self.admits(model, version)

    def state_of(self, request: Request) -> str:
        """Where a request stands now: what is open for a day is expired."""
        is_open = request.state in ("pending", "approved")
        return "expired" if is_open and self.day > request.made_at else request.state

    def bound(self, model: Model, version: Version) -> tuple[Any, ...]:
        """Everything that people agree to, so that a change of it voids what they agreed to."""
        champion = self.serving_name(model)
        endpoint = (version.url, version.endpoint_revision)
        policies = (self.policy_revision, model.policy_revision)
        return (version.stage, version.digest, version.description, endpoint, policies, champion)

    def variants(self) -> set[tuple[str, int]]:
        """The versions that running experiments name."""
        running = [each for each in self.experiments.values() if each.is_running]
        return {variant for each in running for variant in (each.control, each.treatment)}

    def route(self) -> dict[str, Any]:
        """What the routing document must say."""
        named, there = self.variants(), self.models.values()
        stand_ins = {model.name: self.stand_in(model) for model in there}
        named |= {(name, version.number) for name, version in stand_ins.items() if version is not None}
        routed = {
            (model.name, version.number): (
                version.stage,
                version.quarantined,
                version.url,
                version.endpoint_revision or None,
                sorted(alias for alias, number in model.aliases.items() if number == version.number),
            )
            for model in there
            for version in model.versions.values()
            if version.stage in SERVING or (model.name, version.number) in named
        }
        champions = {
            (model.industry, model.name, model.champion, _number(stand_ins[model.name]))
            for model in there
            if model.champion is not None
        }
        running = {each.key: (each.control, each.treatment) for each in self.experiments.values() if each.is_running}
        return {"versions": routed, "champions": champions, "experiments": running}

    def _own(self, model: Model, name: str) -> Any:
        """What the model's policy says, or else its project's; None when neither does."""
        return model.policy.get(name) or self.policy.get(name)


def _count(rule: dict[str, Any]) -> int:
    return int(rule["approvals"]["count"])


def _number(version: Version | None) -> int | None:
    return None if version is None else version.number
