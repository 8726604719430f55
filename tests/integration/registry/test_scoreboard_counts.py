"""The scoreboard counts each fact once, however often it is said or delivered."""

import asyncio
import uuid
from datetime import timedelta

import pytest
from modelyard_events.inferences import ExposureRecorded, InferenceCompleted, ServedVersion, ShadowTarget
from modelyard_events.shadows import ComparedVersion, ShadowReplayCompleted
from modelyard_events.topics import INFERENCES, SHADOW_COMPARISONS
from modelyard_events.values import Endpoint, Protocol, Scope
from modelyard_registry.inbox.pruning import KEPT_FOR, Pruning
from modelyard_registry.transactions.database import Database
from modelyard_runtime.clock import utc_now

from tests.integration.registry.registry_world import ENDPOINT, MODEL_TYPE, Document, RegistryWorld
from tests.integration.registry.relay_world import until

pytestmark = pytest.mark.integration

DIGEST = f"sha256:{'1' * 64}"
SERVED_ID, SHADOW_ID = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))


async def test_exposures_and_requests_are_counted_per_variant_and_once(registry_world: RegistryWorld) -> None:
    experiment = await _an_experiment(registry_world)
    router = _Router(registry_world)
    for number in range(4):
        await router.say(_an_exposure(registry_world, experiment, unit=number))
        await router.say(_an_inference(registry_world, experiment=experiment, latency_ms=10.0 * number))
    await router.say(_an_inference(registry_world, experiment=experiment, outcome="failed", latency_ms=40.0))
    await router.repeat_all()

    await until(lambda: _has_requests(registry_world, 5))
    await router.say(_an_inference(registry_world, experiment=experiment, variant="control"))
    await until(lambda: _has_requests(registry_world, 1, variant="control"))

    counts = await registry_world.registry.counts_of("exp-1")
    assert counts["treatment"] == {
        "variant": "treatment",
        "exposures": 4,
        "requests": 5,
        "errors": 1,
        "latency_ms_mean": 20.0,
    }
    assert counts["control"]["exposures"] == 0


async def test_facts_without_a_sequence_are_counted_once_by_their_id(registry_world: RegistryWorld) -> None:
    experiment = await _an_experiment(registry_world)
    for _ in range(3):
        event = _an_inference(registry_world, experiment=experiment)
        await registry_world.say(INFERENCES, event, source="/gateway", key="k", event_id=f"{event.project}-1")
    event = _an_inference(registry_world, experiment=experiment)
    await registry_world.say(INFERENCES, event, source="/gateway", key="k", event_id=f"{event.project}-2")

    await until(lambda: _has_requests(registry_world, 2))


async def test_the_ledger_adds_up_once_every_replay_has_ended(registry_world: RegistryWorld) -> None:
    router = _Router(registry_world)
    inferences = [_an_inference(registry_world, has_shadow=True) for _ in range(5)]
    for inference in inferences:
        await router.say(inference)
    await until(lambda: _is_ledger(registry_world, requested=5, in_flight=5, adds_up=False))

    ends = [
        _a_comparison(inferences[0], verdict="match", difference=1.0),
        _a_comparison(inferences[1], verdict="drift", difference=-3.0),
        _an_end(inferences[2], outcome="failed"),
        _an_end(inferences[3], outcome="expired"),
        _an_end(inferences[4], outcome="dropped"),
    ]
    for _ in range(2):  # A worker that starts anew says some ends twice, with another envelope.
        for end in ends:
            await registry_world.say(SHADOW_COMPARISONS, end, source="/shadow", key="k")

    await until(lambda: _is_ledger(registry_world, requested=5, in_flight=0, adds_up=True))
    (row,) = await _ledger(registry_world)
    assert (row["served"], row["shadow"]) == ("cars/1", "everyone/2")
    assert (row["compared"], row["failed"], row["expired"], row["dropped"]) == (2, 1, 1, 1)
    assert (row["matched"], row["drifted"], row["agreement"]) == (1, 1, 0.5)
    assert (row["difference_mean"], row["difference_abs_mean"]) == (-1.0, 2.0)
    assert (row["served_latency_ms_mean"], row["shadow_latency_ms_mean"]) == (5.0, 8.0)


async def test_a_fact_that_would_spoil_the_sums_is_parked_and_the_others_are_counted(
    registry_world: RegistryWorld,
) -> None:
    good, bad = (_an_inference(registry_world, has_shadow=True) for _ in range(2))
    spoilt = bad.model_copy(update={"served": bad.served.model_copy(update={"version_id": "no-uuid"})})
    router = _Router(registry_world)
    await router.say(spoilt)
    await router.say(good)

    await until(lambda: _is_ledger(registry_world, requested=1, in_flight=1, adds_up=False))


async def test_what_can_no_longer_be_repeated_is_forgotten(registry_world: RegistryWorld) -> None:
    event = _an_end(_an_inference(registry_world, has_shadow=True), outcome="failed")
    await registry_world.say(SHADOW_COMPARISONS, event, source="/shadow", key="k")
    known = f"SELECT count(*) FROM inbox WHERE dedupe_key = '{event.inference_id}'"

    async def is_known() -> bool:
        return bool(await registry_world.fetch_value(known) == 1)

    await until(is_known)
    async with Database(registry_world.dsn) as database:
        await Pruning(database, clock=utc_now).prune()
        still_known = await registry_world.fetch_value(known)
        await Pruning(database, clock=lambda: utc_now() + KEPT_FOR + timedelta(minutes=1)).prune()

    assert still_known == 1
    assert await registry_world.fetch_value(known) == 0


class _Router:
    """One instance of a router: numbers its facts, and can say them all again."""

    def __init__(self, world: RegistryWorld) -> None:
        self._world = world
        self._source = f"/modelyard/router/{uuid.uuid4()}"
        self._said: list[InferenceCompleted | ExposureRecorded] = []

    async def say(self, event: InferenceCompleted | ExposureRecorded) -> None:
        self._said.append(event)
        await self._say(event, sequence=len(self._said))

    async def repeat_all(self) -> None:
        async with asyncio.timeout(30):
            for number, event in enumerate(self._said, start=1):
                await self._say(event, sequence=number)

    async def _say(self, event: InferenceCompleted | ExposureRecorded, *, sequence: int) -> None:
        await self._world.say(INFERENCES, event, source=self._source, key="one-unit", sequence=sequence)


async def _an_experiment(world: RegistryWorld) -> Document:
    await world.a_model("everyone")
    await world.a_version("everyone")
    treatment = await world.a_version("everyone", to_stage="canary")
    document = {
        "key": "exp-1",
        "model_type": MODEL_TYPE,
        "treatment": {"model": "everyone", "number": treatment, "share_bp": 5_000},
    }
    started: Document = (await world.registry.call("POST", "/experiments", document)).expect(201)
    return started


def _an_exposure(world: RegistryWorld, experiment: Document, *, unit: int) -> ExposureRecorded:
    return ExposureRecorded(
        exposure_id=str(uuid.uuid4()),
        project=world.project,
        model_type=MODEL_TYPE,
        experiment=experiment["key"],
        experiment_id=experiment["id"],
        variant="treatment",
        unit_hash=f"unit-{unit}",
        propensity=0.5,
        route_revision=1,
    )


def _an_inference(
    world: RegistryWorld,
    *,
    experiment: Document | None = None,
    variant: str = "treatment",
    outcome: str = "served",
    latency_ms: float = 10.0,
    has_shadow: bool = False,
) -> InferenceCompleted:
    endpoint = Endpoint(url=ENDPOINT, protocol=Protocol.OPEN_INFERENCE_V2)
    shadow = ShadowTarget(version_id=SHADOW_ID, model="everyone", number=2, digest=DIGEST, endpoint=endpoint)
    return InferenceCompleted.model_validate(
        {
            "inference_id": str(uuid.uuid4()),
            "project": world.project,
            "model_type": MODEL_TYPE,
            "served": ServedVersion(
                version_id=SERVED_ID, model="cars", number=1, semver="1.0.0", digest=DIGEST, scope=Scope.INDUSTRY
            ),
            "reason": "industry_champion",
            "experiment": experiment["key"] if experiment else None,
            "variant": variant if experiment else None,
            "route_revision": 1,
            "cache": "miss",
            "outcome": outcome,
            "latency_ms": latency_ms,
            "shadow": shadow if has_shadow else None,
        }
    )


def _an_end(inference: InferenceCompleted, *, outcome: str) -> ShadowReplayCompleted:
    return ShadowReplayCompleted.model_validate(
        {
            "inference_id": inference.inference_id,
            "project": inference.project,
            "model_type": inference.model_type,
            "served": ComparedVersion(version_id=SERVED_ID, model="cars", number=1, digest=DIGEST),
            "shadow": ComparedVersion(version_id=SHADOW_ID, model="everyone", number=2, digest=DIGEST),
            "outcome": outcome,
            "served_latency_ms": 5.0,
        }
    )


def _a_comparison(inference: InferenceCompleted, *, verdict: str, difference: float) -> ShadowReplayCompleted:
    judged = {
        "verdict": verdict,
        "difference": difference,
        "difference_abs": abs(difference),
        "shadow_latency_ms": 8.0,
    }
    return _an_end(inference, outcome="compared").model_copy(update=judged)


async def _has_requests(world: RegistryWorld, count: int, *, variant: str = "treatment") -> bool:
    return bool((await world.registry.counts_of("exp-1"))[variant]["requests"] == count)


async def _ledger(world: RegistryWorld) -> list[Document]:
    return await world.registry.items("/shadow-ledger", model_type=MODEL_TYPE)


async def _is_ledger(world: RegistryWorld, **wanted: object) -> bool:
    rows = await _ledger(world)
    return len(rows) == 1 and {name: rows[0][name] for name in wanted} == wanted
