"""A policy as its author writes it, and what holds for a registered model when its own is laid over its project's."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from modelyard_events.model_changes import BuildStatus, ReviewStatus
from modelyard_events.values import Slug, Stage
from modelyard_runtime.access.permissions import Role
from pydantic import Field, model_validator

from modelyard_registry.gates.rules import GateRule, Part
from modelyard_registry.gates.signatures import SignatureKey

BUILD_STATUSES: tuple[BuildStatus, ...] = ("evaluating", "ready")
REVIEW_STATUSES: tuple[ReviewStatus, ...] = ("pending_review", "approved")
"""With what statuses versions go to staging or beyond, unless a policy says otherwise."""

EXPIRY_HOURS = 7 * 24
EXPIRY_HOURS_MIN = 0.0166
"""A minute, rounded down, so that how a request expires can be tried."""
EXPIRY_HOURS_MAX = 365 * 24


class ChampionPolicy(StrEnum):
    """When a promotion moves the alias `champion`."""

    AUTO = "auto"
    """Always."""
    MANUAL = "manual"
    """Never: somebody points it at a version in production."""
    IF_BETTER = "if_better"
    """When the version is better than the champion by the primary metric, on the same validation data."""


class Apply(StrEnum):
    """When an agreed transition is made."""

    AUTOMATICALLY = "automatically"
    """With the last approval."""
    ON_COMMAND = "on_command"


class Approvals(Part):
    """How many people with `role` must agree; the requester is never one of them."""

    count: Annotated[int, Field(ge=1, le=20)]
    role: Role = Role.APPROVER


class MoveRule(Part):
    """What a move demands. `from_stage` None means: from wherever; a rule that names it goes before one that does not.

    A request for the move expires `expiry_hours` after it was made; 0.5 is half an hour, and a minute the least.
    """

    from_stage: Stage | None = None
    to_stage: Stage
    approvals: Approvals | None = None
    gates: Annotated[tuple[GateRule, ...], Field(max_length=50)] = ()
    expiry_hours: Annotated[float, Field(ge=EXPIRY_HOURS_MIN, le=EXPIRY_HOURS_MAX, allow_inf_nan=False)] = EXPIRY_HOURS
    apply: Apply = Apply.AUTOMATICALLY

    @property
    def expires_after(self) -> timedelta:
        """How long a request for the move may wait."""
        return timedelta(hours=self.expiry_hours)


class AllowedMove(Part):
    """A move that versions may make at all."""

    from_stage: Stage
    to_stage: Stage

    @model_validator(mode="after")
    def _refuse_no_move(self) -> Self:
        if self.from_stage is self.to_stage:
            raise ValueError("`from_stage` and `to_stage` are the same")
        return self


class ProtectedAlias(Part):
    """An alias that only people with `role` may move or delete."""

    alias: Slug
    role: Role = Role.ADMIN


class Policy(Part):
    """What is demanded of moves. A field that is null says nothing: the project's, or the default, holds.

    `allowed_moves` replaces the whole transition table; what a move needs by itself it needs all the same. A version
    goes to staging or beyond only with a build status in `build_statuses` and a review status in `review_statuses`.
    `signature_keys` are whose signatures a security gate accepts; a model's own replace its project's. With `probe`
    (the default) the registry asks the endpoint before a version moves to canary or production; false waives that.
    """

    moves: Annotated[tuple[MoveRule, ...], Field(max_length=60)] | None = None
    allowed_moves: Annotated[tuple[AllowedMove, ...], Field(min_length=1, max_length=60)] | None = None
    champion: ChampionPolicy | None = None
    protected_aliases: Annotated[tuple[ProtectedAlias, ...], Field(max_length=100)] | None = None
    build_statuses: Annotated[tuple[BuildStatus, ...], Field(min_length=1, max_length=10)] | None = None
    review_statuses: Annotated[tuple[ReviewStatus, ...], Field(min_length=1, max_length=10)] | None = None
    signature_keys: Annotated[tuple[SignatureKey, ...], Field(max_length=20)] | None = None
    probe: bool | None = None

    @model_validator(mode="after")
    def _refuse_two_rules_for_one_move(self) -> Self:
        moves = [(rule.from_stage, rule.to_stage) for rule in self.moves or ()]
        if len(set(moves)) < len(moves):
            raise ValueError("`moves` has two rules for the same move")
        aliases = [protected.alias for protected in self.protected_aliases or ()]
        if len(set(aliases)) < len(aliases):
            raise ValueError("`protected_aliases` names an alias twice")
        keys = [key.key_id for key in self.signature_keys or ()]
        if len(set(keys)) < len(keys):
            raise ValueError("`signature_keys` has two keys of the same name")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRevision:
    """A policy as it was set; revision 0 is the one that nobody set."""

    revision: int
    policy: Policy


UNSET = PolicyRevision(revision=0, policy=Policy())


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectivePolicy:
    """What holds for one registered model: its own policy over its project's, field by field and move by move."""

    project: PolicyRevision = UNSET
    model: PolicyRevision = UNSET

    @property
    def champion(self) -> ChampionPolicy:
        """When a promotion moves the champion."""
        return self.model.policy.champion or self.project.policy.champion or ChampionPolicy.AUTO

    @property
    def allowed_moves(self) -> frozenset[tuple[Stage, Stage]] | None:
        """The moves that there are; None when nobody has set them."""
        for policy in (self.model.policy, self.project.policy):
            if policy.allowed_moves is not None:
                return frozenset((move.from_stage, move.to_stage) for move in policy.allowed_moves)
        return None

    def admits(self, *, build_status: BuildStatus, review_status: ReviewStatus) -> bool:
        """Whether a version with these statuses may go to staging or beyond."""
        return build_status in self.build_statuses and review_status in self.review_statuses

    @property
    def build_statuses(self) -> tuple[BuildStatus, ...]:
        """The build statuses with which a version may go to staging or beyond."""
        return self.model.policy.build_statuses or self.project.policy.build_statuses or BUILD_STATUSES

    @property
    def review_statuses(self) -> tuple[ReviewStatus, ...]:
        """The review statuses with which a version may go to staging or beyond."""
        return self.model.policy.review_statuses or self.project.policy.review_statuses or REVIEW_STATUSES

    @property
    def signature_keys(self) -> tuple[SignatureKey, ...]:
        """Whose signatures a security gate accepts."""
        own = self.model.policy.signature_keys
        return (self.project.policy.signature_keys or ()) if own is None else own

    @property
    def probe(self) -> bool:
        """Whether an endpoint must answer before its version moves to canary or production."""
        given = (self.model.policy.probe, self.project.policy.probe)
        return next((each for each in given if each is not None), True)

    @property
    def protected_aliases(self) -> Mapping[str, Role]:
        """The aliases that only some may move, and the role that they need. A model adds to its project's."""
        given = [*(self.project.policy.protected_aliases or ()), *(self.model.policy.protected_aliases or ())]
        return {protected.alias: protected.role for protected in given}

    def rule_for(self, from_stage: Stage, to_stage: Stage) -> MoveRule:
        """What the move demands: the model's rule before the project's, one for both stages before one for all."""
        for policy in (self.model.policy, self.project.policy):
            rules = {(rule.from_stage, rule.to_stage): rule for rule in policy.moves or ()}
            found = rules.get((from_stage, to_stage)) or rules.get((None, to_stage))
            if found is not None:
                return found
        return MoveRule(from_stage=from_stage, to_stage=to_stage)

    def guard_of(self, stage: Stage) -> MoveRule | None:
        """The rule by which most people must agree before a version gets into `stage`; None when nobody must."""
        guarding = [(rule.approvals.count, rule) for rule in self._rules() if rule.approvals and rule.to_stage is stage]
        return max(guarding, key=lambda each: each[0])[1] if guarding else None

    def was_agreed(self, stage: Stage, arrivals: Collection[tuple[Stage, bool]]) -> bool:
        """Whether this policy would let a version into `stage` as it once came there.

        `arrivals` say from where it came and whether others had agreed. A policy that demands approvals may be younger
        than the version's stage.
        """
        if self.guard_of(stage) is None:
            return True
        return any(
            was_agreed or self.rule_for(from_stage, stage).approvals is None for from_stage, was_agreed in arrivals
        )

    def document(self) -> Policy:
        """What holds, as one policy."""
        return Policy(
            moves=self._rules(),
            allowed_moves=self.model.policy.allowed_moves or self.project.policy.allowed_moves,
            champion=self.champion,
            protected_aliases=tuple(
                ProtectedAlias(alias=alias, role=role) for alias, role in self.protected_aliases.items()
            ),
            build_statuses=self.build_statuses,
            review_statuses=self.review_statuses,
            signature_keys=self.signature_keys,
            probe=self.probe,
        )

    def _rules(self) -> tuple[MoveRule, ...]:
        rules = {(rule.from_stage, rule.to_stage): rule for rule in self.project.policy.moves or ()}
        own = {(rule.from_stage, rule.to_stage): rule for rule in self.model.policy.moves or ()}
        # A rule of the model's for all stages stands before the project's rules for one.
        kept = {move: rule for move, rule in rules.items() if (None, move[1]) not in own}
        return tuple({**kept, **own}.values())


def decide_policy(current: PolicyRevision, policy: Policy) -> PolicyRevision:
    """The next revision with `policy`; the current one when it says the same."""
    if policy == current.policy:
        return current
    return PolicyRevision(revision=current.revision + 1, policy=policy)
