"""What must be true when the dust has settled, of everything that was promised, published and answered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelyard_events.inferences import InferenceCompleted
from modelyard_events.routes import RouteChanged
from modelyard_events.topics import (
    AUDIT_LOG,
    INFERENCES,
    MODEL_VERSIONS,
    ROUTES,
    SHADOW_COMPARISONS,
    Topic,
    dead_letter_topics,
)

from tests.faults.traffic import SIDE_MODEL, Traffic
from tests.world.checks import (
    LedgerLine,
    broken_audit_log,
    broken_routes,
    broken_sequences,
    exposures_by_variant,
    lost_facts,
    stale_answers,
    unaudited_changes,
    undecided_answers,
    unfinished_replays,
    unsteady_units,
    wrong_ledger,
)
from tests.world.lending import INDUSTRY_MODEL, MODEL_TYPE
from tests.world.published import Published, events_of
from tests.world.waiting import until

SETTLED_WITHIN_S = 45.0
LOOK_INTERVAL_S = 0.5
UNPUBLISHED = "SELECT count(*) FROM outbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """The system after a fault. `inferences_lost_max` is how many facts a killed router may have taken along.

    Whatever it took must show as a gap in its sequence.
    """

    traffic: Traffic
    inferences_lost_max: int = 0

    async def check(self, *, settled_within_s: float = SETTLED_WITHIN_S) -> None:
        """Wait until nothing is wrong any more; fails with what still is."""
        await until(
            self.violations,
            lambda seen: seen == [],
            timeout_s=settled_within_s,
            interval_s=LOOK_INTERVAL_S,
        )

    async def violations(self) -> list[str]:
        """Everything that is wrong now."""
        waiting = await self._unpublished()
        unfinished = [f"{waiting} rows wait in the outbox"] if waiting else await self._of_observations()
        if unfinished:
            return unfinished  # The rest is dearer to look at, and of no interest before that.
        return [
            *await self._of_registrations(),
            *await self._of_publications(),
            *await self._of_answers(),
            *await self._of_dead_letters(),
            *self._of_idleness(),
        ]

    async def _unpublished(self) -> int:
        async with self.traffic.lending.world.database() as connection:
            return int(await connection.fetchval(UNPUBLISHED))

    async def _of_registrations(self) -> list[str]:
        """Every accepted change is there, registrations under the number that was answered; numbers are gapless."""
        registry, faults = self.traffic.lending.registry, []
        model = (await registry.call("GET", f"/registered-models/{INDUSTRY_MODEL}")).expect(200)
        if model["champion"] != self.traffic.champions[-1]:
            faults.append(f"{model['champion']} is champion, {self.traffic.champions[-1]} was made it last")
        kept: dict[str, tuple[str, int]] = {}
        for name in (INDUSTRY_MODEL, SIDE_MODEL):
            path = f"/registered-models/{name}/versions"
            versions = await registry.items(path)
            numbers = sorted(version["number"] for version in versions)
            if numbers != list(range(1, len(numbers) + 1)):
                faults.append(f"the numbers of {name} have gaps: {numbers}")
            kept.update({version["run_id"]: (name, version["number"]) for version in versions})
        faults += [
            f"run {run} was answered {place}, and is {kept.get(run)}"
            for run, place in self.traffic.runs.items()
            if kept.get(run) != place
        ]
        return faults

    async def _of_publications(self) -> list[str]:
        """No event of the registry is missing, doubled or out of order; the routes end with the truth."""
        lending = self.traffic.lending
        log, routes = await self._published(AUDIT_LOG), await self._published(ROUTES)
        requests = [write.request_id for write in self.traffic.writer.accepted]
        documents = await lending.registry.routes()
        ours = {
            f"{lending.project}/{model_type}": RouteChanged.model_validate(document)
            for model_type, document in documents.items()
        }
        faults = broken_sequences(await self._published(MODEL_VERSIONS))
        faults += broken_audit_log(log)
        faults += unaudited_changes(log, accepted_requests=requests)
        faults += broken_routes(self._of_project(routes), documents=ours)
        if await lending.router.routes(project=lending.project) != documents:
            faults.append("the router decides by other documents than the registry has")
        return faults

    async def _of_answers(self) -> list[str]:
        """No answer is stale."""
        documents = {
            event.revision: event
            for event in events_of(self._of_project(await self._published(ROUTES)), RouteChanged)
            if event.model_type == MODEL_TYPE
        }
        answers = self.traffic.answers
        return stale_answers(answers) + undecided_answers(answers, documents=documents)

    async def _of_observations(self) -> list[str]:
        """Each fact about an answer was published, and counted once."""
        everything = await self._published(INFERENCES)
        inferences = self._of_project(everything)
        comparisons = self._of_project(await self._published(SHADOW_COMPARISONS))
        told = {event.inference_id for event in events_of(inferences, InferenceCompleted)}
        lost = sum(answer.inference_id not in told for answer in self.traffic.answers)
        gaps = sum(lost_facts(everything, since=inferences).values())
        faults = [] if gaps <= self.inferences_lost_max else [f"{gaps} facts are missing in the routers' sequences"]
        faults += [] if lost <= gaps else [f"{lost} answers left no fact, and the sequences tell of {gaps}"]
        faults += unfinished_replays(inferences, comparisons)
        faults += wrong_ledger(await self._ledger(), inferences=inferences)
        return faults + await self._of_experiments(inferences)

    async def _ledger(self) -> LedgerLine:
        rows = await self.traffic.lending.registry.items("/shadow-ledger", model_type=MODEL_TYPE)
        total: Counter[str] = Counter()
        for row in rows:
            total.update({name: row[name] for name in LedgerLine.__dataclass_fields__})
        return LedgerLine(**{name: total[name] for name in LedgerLine.__dataclass_fields__})

    async def _of_experiments(self, inferences: Sequence[Published]) -> list[str]:
        registry, faults = self.traffic.lending.registry, []
        for key in self.traffic.experiments:
            experiment: dict[str, Any] = (await registry.call("GET", f"/experiments/{key}")).expect(200)
            exposures = exposures_by_variant(inferences, experiment_id=experiment["id"])
            counts = await registry.counts_of(key)
            counted = Counter({variant: row["exposures"] for variant, row in counts.items()})
            if counted != exposures:
                faults.append(f"experiment {key}: {dict(exposures)} exposures, {dict(counted)} counted")
            faults += unsteady_units(inferences, experiment_id=experiment["id"])
        return faults

    async def _of_dead_letters(self) -> list[str]:
        """An outage is no reason to park anything."""
        parked = {
            topic.name: len(await self.traffic.lending.world.topics.records(topic)) for topic in dead_letter_topics()
        }
        return [f"{count} records in {name}" for name, count in parked.items() if count]

    def _of_idleness(self) -> list[str]:
        """What did not happen proves nothing: each promise must have been put to the test."""
        answers = self.traffic.answers
        happened = {
            "cache hits": sum(answer.cache == "hit" for answer in answers),
            "answers about purged entities": sum(answer.version_floor > 1 for answer in answers),
            "answers in experiments": sum(answer.variant is not None for answer in answers),
            "answers with a shadow": sum(answer.is_shadowed for answer in answers),
            "accepted writes": len(self.traffic.writer.accepted),
        }
        return [f"no {what}" for what, count in happened.items() if not count]

    async def _published(self, topic: Topic) -> list[Published]:
        return await self.traffic.lending.world.topics.published(topic)

    def _of_project(self, records: Sequence[Published]) -> list[Published]:
        project = self.traffic.lending.project
        return [record for record in records if getattr(record.event, "project", None) == project]
