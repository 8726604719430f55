"""No sequence of moves, rollbacks and quarantines breaks the rules of the lifecycle."""

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from modelyard_events.values import Stage
from modelyard_registry.deployments.domain import Health
from modelyard_registry.lifecycle.domain import TRANSITIONS, Standing, TransitionRefusedError, decide_transition
from modelyard_registry.lifecycle.rollback import EarlierChampion, decide_rollback
from modelyard_registry.routes.champion_history import AliasMove, Cause, previous_champions
from modelyard_runtime.problems import ConflictError

MODELS = ("a", "b")
NUMBERS = st.integers(1, 4)


@dataclass
class _Version:
    stage: Stage = Stage.DEVELOPMENT
    quarantined: bool = False
    health: Health | None = None


@dataclass
class _Model:
    versions: dict[int, _Version] = field(default_factory=lambda: {number: _Version() for number in range(1, 5)})
    champion: int | None = None
    moves: list[AliasMove] = field(default_factory=list)

    def point_at(self, number: int | None, cause: Cause) -> None:
        self.moves.append(AliasMove(from_number=self.champion, to_number=number, cause=cause))
        self.champion = number


class OneSlot(RuleBasedStateMachine):
    """Two registered models that compete for one slot, changed only by what the domain decides."""

    def __init__(self) -> None:
        super().__init__()
        self.models = {name: _Model() for name in MODELS}
        self.rolled_back: set[tuple[str, int]] = set()

    @rule(name=st.sampled_from(MODELS), number=NUMBERS, health=st.sampled_from(["healthy", "unhealthy", "unknown"]))
    def deploy(self, name: str, number: int, health: Health) -> None:
        self.models[name].versions[number].health = health

    @rule(name=st.sampled_from(MODELS), number=NUMBERS, quarantined=st.booleans())
    def quarantine(self, name: str, number: int, quarantined: bool) -> None:
        self.models[name].versions[number].quarantined = quarantined

    @rule(
        name=st.sampled_from(MODELS),
        number=NUMBERS,
        to_stage=st.sampled_from(Stage),
        replaces=st.sampled_from([None, *MODELS]),
    )
    def move(self, name: str, number: int, to_stage: Stage, replaces: str | None) -> None:
        model, version = self.models[name], self.models[name].versions[number]
        holder = next((other for other in MODELS if other != name and self.models[other].champion), None)
        standing = Standing(
            model=name,
            number=number,
            stage=version.stage,
            quarantined=version.quarantined,
            is_champion=model.champion == number,
            endpoint_health=version.health,
            slot_holder=holder,
        )
        try:
            move = decide_transition(standing, to_stage=to_stage, replaces=replaces)
        except TransitionRefusedError:
            return
        assert (version.stage, to_stage) in TRANSITIONS
        version.stage = move.to_stage
        if move.becomes_champion:
            assert not version.quarantined
            assert version.health in ("healthy", "unknown")
            if move.replaced is not None:
                self.models[move.replaced].point_at(None, Cause.REPLACEMENT)
            model.point_at(number, Cause.PROMOTION)
            self.rolled_back.discard((name, number))

    @rule(name=st.sampled_from(MODELS), replaces=NUMBERS)
    def roll_back(self, name: str, replaces: int) -> None:
        model = self.models[name]
        former = [
            EarlierChampion(
                number=number, stage=model.versions[number].stage, quarantined=model.versions[number].quarantined
            )
            for number in previous_champions(model.moves)
        ]
        try:
            rollback = decide_rollback(model=name, champion=model.champion, replaces=replaces, former=former)
        except ConflictError:
            return
        restored = rollback.restored.number
        assert model.champion == replaces != restored
        assert not model.versions[restored].quarantined
        assert (name, restored) not in self.rolled_back
        model.versions[restored].stage = Stage.PRODUCTION
        model.versions[replaces].stage = Stage.DEPRECATED
        model.point_at(restored, Cause.ROLLBACK)
        self.rolled_back.add((name, replaces))

    @invariant()
    def the_slot_has_at_most_one_champion(self) -> None:
        assert sum(model.champion is not None for model in self.models.values()) <= 1

    @invariant()
    def a_champion_is_in_production(self) -> None:
        for model in self.models.values():
            if model.champion is not None:
                assert model.versions[model.champion].stage is Stage.PRODUCTION

    @invariant()
    def history_ends_with_the_champion(self) -> None:
        for model in self.models.values():
            assert model.champion == (model.moves[-1].to_number if model.moves else None)


TestOneSlot = OneSlot.TestCase
