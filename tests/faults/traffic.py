"""Everybody at work at once, while something is killed; what they asked and what they were told is kept."""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from tests.world.checks import ObservedAnswer
from tests.world.insistence import InsistentClient
from tests.world.lending import INDUSTRY, INDUSTRY_MODEL, MODEL_TYPE, Lending
from tests.world.registry import Registry
from tests.world.router import prediction_in
from tests.world.waiting import until
from tests.world.world import World

ENTITIES = 8
UNITS = 40
PREDICTORS = 3
INDUSTRIES = (INDUSTRY, INDUSTRY, "credit_card")
SIDE_MODEL = "forecast"
DAWDLE_S = 0.005
ASK_PAUSE_S = 0.015
CHANGE_PAUSE_S = 0.03
WRITE_PAUSE_S = 0.05
SETBACK_PAUSE_S = 0.05
ROLLBACK_SHARE = 0.4


@dataclass(slots=True, kw_only=True)
class Traffic:
    """Clients of one project.

    `answers` are predictions as they were given; `setbacks` counts requests without a prediction, by status or
    kind of error; `runs` maps the run of each accepted registration to its model and number; `champions` are those
    of the industry model that were not rolled back, the present one last.
    """

    lending: Lending
    writer: InsistentClient
    chance: random.Random
    answers: list[ObservedAnswer] = field(default_factory=list)
    setbacks: Counter[str] = field(default_factory=Counter)
    runs: dict[str, tuple[str, int]] = field(default_factory=dict)
    champions: list[int] = field(default_factory=lambda: [1])
    experiments: list[str] = field(default_factory=list)
    changes: int = 0
    newest_revision: int = 0
    cycles: Counter[str] = field(default_factory=Counter)
    _stopping: bool = False

    @classmethod
    async def prepare(cls, world: World, *, seed: int) -> "Traffic":
        """A project of its own with two models in production, one challenger in canary and one model aside."""
        project = f"lender-{uuid.uuid4().hex[:8]}"
        writer = InsistentClient(http=world.http("registry", actor="ada"), new_name=lambda: f"r-{uuid.uuid4().hex}")
        lending = Lending(
            world=world,
            project=project,
            registry=Registry(http=writer, project=project),
            router=world.router(),
        )
        world.models.dawdle_s = DAWDLE_S
        await lending.registry.found()
        await lending.found()
        (await lending.registry.create_model(SIDE_MODEL, model_type="forecasting")).expect(201)
        return cls(lending=lending, writer=writer, chance=random.Random(seed))

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """Everybody works until the block ends; then each finishes what it is at."""
        self._stopping = False
        challenger = await self.lending.release_industry(f"challenger-{uuid.uuid4().hex[:6]}", to_stage="canary")
        async with asyncio.TaskGroup() as group:
            for _ in range(PREDICTORS):
                group.create_task(self._repeat("predict", self._predict, pause_s=ASK_PAUSE_S))
            group.create_task(self._repeat("change", self._change, pause_s=CHANGE_PAUSE_S))
            group.create_task(self._repeat("promote", self._promote, pause_s=WRITE_PAUSE_S))
            group.create_task(self._repeat("register", self._register, pause_s=WRITE_PAUSE_S))
            group.create_task(self._repeat("experiment", lambda: self._experiment(challenger), pause_s=WRITE_PAUSE_S))
            try:
                yield
            finally:
                self._stopping = True

    async def predict_on(self, *, predictions: int = 100) -> None:
        """Return when so many more predictions were answered, whatever else stands still."""
        answered = len(self.answers)

        async def progress() -> int:
            return len(self.answers) - answered

        await until(progress, lambda seen: seen >= predictions, timeout_s=60.0)

    async def go_on(self, *, predictions: int = 100, cycles: int = 2) -> None:
        """Return when so many more predictions were answered, and everybody else has done something too."""
        answered, before = len(self.answers), Counter(self.cycles)

        async def progress() -> Counter[str]:
            more = Counter({kind: count - before[kind] for kind, count in self.cycles.items()})
            return more | Counter(predict=len(self.answers) - answered)

        await until(
            progress,
            lambda seen: (
                seen["predict"] >= predictions
                and all(seen[kind] >= cycles for kind in ("change", "promote", "register", "experiment"))
            ),
            timeout_s=60.0,
        )

    def __str__(self) -> str:
        return (
            f"{len(self.answers)} predictions, {self.changes} changes, {len(self.writer.accepted)} accepted writes "
            f"({self.writer.setbacks} tried again), unanswered predictions {dict(self.setbacks)}"
        )

    async def _repeat(self, kind: str, work: Callable[[], Awaitable[None]], *, pause_s: float) -> None:
        while not self._stopping:
            await work()
            self.cycles[kind] += 1
            await asyncio.sleep(pause_s * self.chance.uniform(0.2, 1.8))

    async def _predict(self) -> None:
        entity_id = f"loan-{self.chance.randrange(ENTITIES)}"
        unit_id = f"borrower-{self.chance.randrange(UNITS)}"
        attributes = self.lending.attributes(entity_id, unit_id=unit_id, industry=self.chance.choice(INDUSTRIES))
        floor = self.lending.world.purges.floor_of(entity_id, tenant=self.lending.tenant)
        newest = self.newest_revision
        try:
            reply = await self.lending.router.ask(**attributes)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.setbacks[type(error).__name__] += 1
            await asyncio.sleep(SETBACK_PAUSE_S)
            return
        if reply.status != 200:
            assert reply.is_problem, reply
            self.setbacks[f"{reply.status} {reply.document['type']}"] += 1
            await asyncio.sleep(SETBACK_PAUSE_S)
            return
        prediction = prediction_in(reply.document)
        self.newest_revision = max(newest, self.newest_revision, prediction.route_revision)
        self.answers.append(
            ObservedAnswer(
                inference_id=prediction.inference_id,
                entity_id=entity_id,
                version_floor=floor,
                version_read=prediction.version_read,
                decided=prediction.decided,
                answered_by=prediction.answered_by,
                route_revision=prediction.route_revision,
                revision_floor=newest,
                cache=prediction.cache,
                variant=prediction.variant,
                is_shadowed=prediction.receipt["shadow_version_id"] is not None,
            )
        )

    async def _change(self) -> None:
        entity_id = f"loan-{self.chance.randrange(ENTITIES)}"
        await self.lending.world.change_entity(entity_id, tenant=self.lending.tenant)
        self.changes += 1

    async def _promote(self) -> None:
        run = f"run-{uuid.uuid4().hex[:8]}"
        number = await self.lending.release_industry(run)
        self.runs[run] = (INDUSTRY_MODEL, number)
        self.champions.append(number)
        await asyncio.sleep(WRITE_PAUSE_S)
        if self.chance.random() < ROLLBACK_SHARE:
            (await self.lending.registry.roll_back(INDUSTRY_MODEL, replaces=number)).expect(200)
            self.champions.pop()

    async def _register(self) -> None:
        run = f"run-{uuid.uuid4().hex[:8]}"
        digest = await self.lending.registry.upload(self.lending.artifact(SIDE_MODEL, run))
        reply = await self.lending.registry.register(SIDE_MODEL, digest=digest, run_id=run)
        self.runs[run] = (SIDE_MODEL, int(reply.expect(201)["number"]))

    async def _experiment(self, challenger: int) -> None:
        key = f"try-{uuid.uuid4().hex[:8]}"
        started = await self.lending.registry.start_experiment(
            key, model_type=MODEL_TYPE, treatment=(INDUSTRY_MODEL, challenger), industries=[INDUSTRY]
        )
        started.expect(201)
        self.experiments.append(key)
        await asyncio.sleep(4 * WRITE_PAUSE_S)
        # 409: a rollback of its control has stopped it before.
        (await self.lending.registry.stop_experiment(key)).expect(200, 409)
