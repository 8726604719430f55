"""A model check: whatever several clients, purges and lost caches do in whatever order, no hit is stale.

Stale is a hit whose inputs were read before the last purge that was completed. Where replicas lag, inputs
read after a purge may still be older than the change: then no hit may carry a version below the last purged.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule, run_state_machine_as_test
from modelyard_prediction_cache import Entity, Lease, connect

from tests.contract.prediction_cache.caches import Kept, memory_cache, redis_cache

ENTITIES = tuple(Entity(tenant="t", entity_type="loan", entity_id=name) for name in ("1", "1*"))
PREDICTIONS = ("p1", "p2")
FEATURES = "f1"

BuildKept = Callable[[], tuple[Kept, Callable[[], None]]]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a client holds: a lease, and inputs of some version that were read at some moment."""

    entity: Entity
    lease: Lease
    read_at: int
    version: int


class World(RuleBasedStateMachine):
    """Truth, clients and cache. Moments are counted by steps; a value says what it was made from."""

    build: Any = None
    run: Any = None
    has_lagging_replicas = False

    leases = Bundle("leases")
    inputs = Bundle("inputs")

    def __init__(self) -> None:
        super().__init__()
        self.kept: Kept = type(self).build()
        self.moment = 0
        self.truth = dict.fromkeys(ENTITIES, 1)
        self.purged_at = dict.fromkeys(ENTITIES, 0)
        self.purged_version = dict.fromkeys(ENTITIES, 0)
        self.do(self.kept.flush())

    def do(self, work: Any) -> Any:
        self.moment += 1
        return type(self).run(work)

    @rule(entity=st.sampled_from(ENTITIES))
    def change(self, entity: Entity) -> None:
        self.truth[entity] += 1

    @rule(entity=st.sampled_from(ENTITIES), age=st.integers(0, 3), tells_version=st.booleans())
    def purge(self, entity: Entity, age: int, tells_version: bool) -> None:
        # Late, repeated and reordered purges carry an older version; they are purges all the same.
        version = max(1, self.truth[entity] - age)
        self.do(self.kept.cache.purge(entity, version=version if tells_version else None))
        self.purged_at[entity] = self.moment
        if tells_version:
            self.purged_version[entity] = max(version, self.purged_version[entity])

    @rule(target=leases, entity=st.sampled_from(ENTITIES), prediction=st.sampled_from(PREDICTIONS))
    def read(self, entity: Entity, prediction: str) -> Any:
        reading = self.do(self.kept.cache.read(entity, prediction=prediction, features=FEATURES))
        for value in (reading.prediction, reading.features.value if reading.features else None):
            if value is not None:
                self.judge(entity, value)
        return (entity, reading.lease) if reading.lease is not None else None

    def judge(self, entity: Entity, value: bytes) -> None:
        read_at, version = map(int, value.split(b"/"))
        assert read_at > self.purged_at[entity], "a hit came from inputs read before the last purge"
        assert version >= self.purged_version[entity], "a hit came from inputs older than a purged version"

    @rule(target=inputs, held=leases, lag=st.integers(0, 3))
    def fetch_inputs(self, held: tuple[Entity, Lease] | None, lag: int) -> Inputs | None:
        if held is None:
            return None
        entity, lease = held
        self.moment += 1
        lag = lag if self.has_lagging_replicas else 0
        return Inputs(entity, lease, self.moment, max(1, self.truth[entity] - lag))

    @rule(held=consumes(inputs), prediction=st.sampled_from(PREDICTIONS), tells_version=st.booleans())
    def fill(self, held: Inputs | None, prediction: str, tells_version: bool) -> None:
        if held is None:
            return
        value = b"%d/%d" % (held.read_at, held.version)
        version = held.version if tells_version else None
        self.do(
            self.kept.cache.fill(
                held.entity,
                held.lease,
                prediction=prediction,
                value=value,
                entity_version=version,
                features=(FEATURES, value),
            )
        )

    @rule()
    def lose_everything(self) -> None:
        if not self.has_lagging_replicas:
            # With a lagging replica, floors that are lost leave only the hold-off, which is lost as well.
            self.do(self.kept.flush())


def check_model(build: Callable[[], Kept], *, run: Any, has_lagging_replicas: bool, examples: int) -> None:
    machine = type(
        "World",
        (World,),
        {"build": staticmethod(build), "run": staticmethod(run), "has_lagging_replicas": has_lagging_replicas},
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(("hold_off_s", "has_lagging_replicas"), [(0.001, False), (60.0, False), (60.0, True)])
def test_the_twin_never_serves_a_stale_hit(hold_off_s: float, has_lagging_replicas: bool) -> None:
    with asyncio.Runner() as runner:
        check_model(
            partial(memory_cache, hold_off_s=hold_off_s),
            run=runner.run,
            has_lagging_replicas=has_lagging_replicas,
            examples=150,
        )


@pytest.mark.integration
@pytest.mark.parametrize(("hold_off_s", "has_lagging_replicas"), [(0.001, False), (60.0, False), (60.0, True)])
def test_the_cache_on_a_server_never_serves_a_stale_hit(
    redis_url: str, hold_off_s: float, has_lagging_replicas: bool
) -> None:
    with asyncio.Runner() as runner:
        redis = connect(redis_url, timeout_s=30.0)
        check_model(
            partial(redis_cache, redis, hold_off_s=hold_off_s),
            run=runner.run,
            has_lagging_replicas=has_lagging_replicas,
            examples=40,
        )
        runner.run(redis.aclose())
