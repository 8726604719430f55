"""Every service answers as its OpenAPI document says, whatever it is asked."""

from dataclasses import replace

import pytest

from tests.contract.http.exploring import Exploration, Known, explore, operations_of
from tests.contract.http.seeding import seed
from tests.integration.cache_invalidator import conftest as invalidator
from tests.integration.cache_invalidator.conftest import Invalidation
from tests.integration.registry import door as registry
from tests.integration.registry.door import Door
from tests.integration.router import world as routers
from tests.integration.router.world import World
from tests.routing_builders import a_document, a_version, an_experiment

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    # A large request is slow to print: that is no fault of the service.
    pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning"),
]

FAULTS_SHOWN_MAX = 20


def told(found: Exploration) -> str:
    """The faults, as a failed test shows them."""
    return "\n\n".join(str(fault) for fault in found.faults[:FAULTS_SHOWN_MAX])


async def test_the_registry_answers_as_its_document_says(door: Door) -> None:
    # The other registries' interfaces know no other project.
    known = await seed(replace(door, project="default"))
    document = (await door.http.call("GET", "/openapi.json")).expect(200)

    found = await explore(door.http.url, document, token=registry.TOKEN, known=known, examples_max=2)

    assert not found.faults, told(found)
    # What was refused in every request was not tried in earnest.
    assert [each for each in operations_of(document) if each not in found.succeeded] == []


async def test_the_router_answers_as_its_document_says(world: World) -> None:
    version = a_version("everyone", endpoint=world.models.endpoint("everyone"))
    await world.topics.publish(a_document(version, experiments=(an_experiment(version, version),)))
    known = Known(
        bodies={
            "POST /v1/route": {"model_type": "risk-scoring", "unit_id": "user-42"},
            "POST /v1/predict": {
                "inputs": [{"name": "income", "datatype": "FP32", "shape": [1, 1], "data": [52000.0]}],
                "parameters": {"model_type": "risk-scoring"},
            },
        }
    )
    async with world.router() as router:
        _, document = await router.get("/openapi.json")
        found = await explore(router.url, document, token=routers.TOKEN, known=known, examples_max=100)

    assert not found.faults, told(found)
    assert [each for each in operations_of(document) if each not in found.succeeded] == []


async def test_the_cache_invalidator_answers_as_its_document_says(invalidation: Invalidation) -> None:
    document = (await invalidation.http.call("GET", "/openapi.json")).expect(200)

    found = await explore(invalidation.http.url, document, token=invalidator.TOKEN, known=Known(), examples_max=100)

    assert not found.faults, told(found)
    assert [each for each in operations_of(document) if each not in found.succeeded] == []
