"""Kafka goes away and comes back: the router answers throughout, says how old its routes are, and catches up."""

import pytest

from tests.integration.router.world import eventually, open_world
from tests.routing_builders import a_document, a_version, an_experiment
from tests.stack_fixtures import OwnStack

pytestmark = [pytest.mark.integration, pytest.mark.faults]


async def test_while_kafka_is_away_the_router_answers_from_the_last_known_state(
    own_stack: OwnStack, topic_prefix: str
) -> None:
    stack = await own_stack()
    version = a_version("everyone")
    experiment = an_experiment(version, version)
    async with open_world(
        bootstrap=stack.addresses.kafka_bootstrap, prefix=topic_prefix, redis_url=stack.addresses.redis_url
    ) as world:
        await world.topics.publish(a_document(version, experiments=(experiment,)))
        async with world.router() as router:
            await router.route(unit_id="before")
            await stack.kafka.kill()

            async def is_old() -> bool:
                await router.route(unit_id="meanwhile")
                status, report = await router.get("/readyz")
                assert status == 200
                return "last known state" in report["checks"][0]["detail"]

            await eventually(is_old)
            _, dump = await router.get("/v1/routes")
            assert dump["age_s"] > 1
            await stack.kafka.start()
            await world.topics.publish(a_document(a_version("everyone", 2), revision=2))

            async def has_caught_up() -> bool:
                return await router.revision() == 2

            await eventually(has_caught_up, within_s=60)
            assert (await router.route())["number"] == 2

            async def is_fresh() -> bool:
                return bool((await router.get("/v1/routes"))[1]["age_s"] < 5)

            await eventually(is_fresh)

        facts = await world.topics.facts()
        sequences = [envelope.sequence for envelope, _ in facts]
        assert sequences == list(range(1, len(facts) + 1))
        assert len(facts) > 1


async def test_a_router_that_started_before_kafka_catches_up_once_it_is_there(
    own_stack: OwnStack, topic_prefix: str
) -> None:
    stack = await own_stack()
    async with open_world(
        bootstrap=stack.addresses.kafka_bootstrap, prefix=topic_prefix, redis_url=stack.addresses.redis_url
    ) as world:
        await world.topics.publish(a_document(a_version("everyone")))
        await stack.kafka.stop()
        async with world.starting_router() as router:
            assert (await router.get("/readyz"))[0] == 503
            await stack.kafka.start()

            async def is_ready() -> bool:
                return (await router.get("/readyz"))[0] == 200

            await eventually(is_ready, within_s=60)
            assert (await router.route())["number"] == 1
