"""Two instances of the router on one system: each answers, and each counts its facts for itself."""

import pytest
from modelyard_events.inferences import ExposureRecorded, InferenceCompleted
from modelyard_events.topics import INFERENCES

from tests.world.http_client import HttpClient
from tests.world.lending import MODEL_TYPE, Lending
from tests.world.router import Router
from tests.world.waiting import until
from tests.world.world import World

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

SECOND = "router-2"


async def test_two_routers_share_a_system_and_count_their_facts_apart(world: World, lending: Lending) -> None:
    first = world.router()
    service = await world.system.run_service("router", instance=SECOND)
    try:
        second = Router(http=HttpClient(session=world.session, url=service.url, token=world.system.tokens["gateway"]))
        attributes = {"project": lending.project, "model_type": MODEL_TYPE}
        await until(lambda: second.route(**attributes), lambda reply: reply.status == 200)

        routed = [(await router.route(**attributes)).expect(200)["version_id"] for router in (first, second)]
        for router in (first, second):
            await router.ask(**attributes)  # Whatever the answer, there is a fact about it.
        sources = await until(lambda: _sources(world, lending.project), lambda seen: len(seen) == 2)
    finally:
        await service.server.stop()
        del world.system.services[SECOND]

    assert routed[0] == routed[1]
    assert {source.rpartition("/")[0] for source in sources} == {"/modelyard/router"}


async def _sources(world: World, project: str) -> set[str]:
    records = await world.topics.published(INFERENCES)
    return {
        record.envelope.source
        for record in records
        if isinstance(record.event, InferenceCompleted | ExposureRecorded) and record.event.project == project
    }
