"""URLs that services will ask are judged when they are given, not only when they are asked."""

import pytest

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration

INWARD = [
    "http://169.254.169.254/latest/meta-data",
    "http://10.0.0.7/infer",
    "http://[::1]/infer",
    "http://[::ffff:10.0.0.7]/infer",
    "http://0.0.0.0/infer",
]


@pytest.mark.parametrize("url", INWARD)
async def test_an_endpoint_on_an_inward_address_is_refused_and_changes_nothing(door: Door, url: str) -> None:
    await door.create("risk")
    await door.register("risk")
    before = await door.marks()

    refused = await door.call("PUT", f"{versions()}/1/deployments/production", {"url": url, "health": "healthy"})

    assert refused.status == 422
    assert refused.is_problem
    assert "MODELYARD_OUTBOUND_ALLOW" in refused.document["fix"]
    assert await door.marks() == before


async def test_a_feature_source_on_an_inward_address_is_refused_and_names_are_left_to_the_request(door: Door) -> None:
    inward = {"url_template": "http://169.254.169.254/{tenant}/{entity_type}/{entity_id}"}
    named = {"url_template": "http://features.internal/{tenant}/{entity_type}/{entity_id}"}
    await door.create()

    refused = await door.call("PUT", "/routes/risk_scoring/feature-source", inward)
    taken = await door.call("PUT", "/routes/risk_scoring/feature-source", named)

    assert (refused.status, taken.status) == (422, 200)
    assert refused.is_problem
