"""Deployments over HTTP: what is recorded, when the revision rises, and when the route is published anew."""

import pytest

from tests.integration.registry.door import ENDPOINT, Door, versions

pytestmark = pytest.mark.integration

PATH = f"{versions()}/1/deployments"
SCHEMA = [{"name": "income", "datatype": "FP64"}]


async def test_inputs_default_to_the_versions_feature_schema(door: Door) -> None:
    await door.create()
    await door.register(evidence={"feature_schema": SCHEMA})

    deployed = await door.deploy(1)
    asked_less = (await door.call("PUT", f"{PATH}/production", {"url": ENDPOINT, "inputs": []})).expect(200)

    assert deployed["endpoint"]["inputs"] == SCHEMA
    assert asked_less["endpoint"]["inputs"] == []


async def test_the_revision_rises_with_all_that_steers_requests_and_not_with_the_health(door: Door) -> None:
    await door.create()
    await door.register()
    changes = [
        {"url": ENDPOINT},
        {"url": ENDPOINT, "health": "healthy"},
        {"url": ENDPOINT, "health": "healthy", "timeout_s": 5.0},
        {"url": f"{ENDPOINT}/2"},
        {"url": f"{ENDPOINT}/2", "inputs": SCHEMA},
    ]

    revisions = [
        (await door.call("PUT", f"{PATH}/production", change)).expect(200)["endpoint"]["revision"] for change in changes
    ]

    assert revisions == [1, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("prod", "Did you mean production?"),
        ("Production", "Did you mean production?"),
        ("prodution", "Did you mean production?"),
        ("stage", "Did you mean staging?"),
        ("eu-west-1", "Use one of: dev, test, staging, production."),
    ],
)
async def test_a_word_that_is_no_environment_makes_no_deployment(door: Door, word: str, said: str) -> None:
    await door.create()
    await door.register()
    marks = await door.marks()

    refused = await door.call("PUT", f"{PATH}/{word}", {"url": ENDPOINT})
    unread = await door.call("GET", f"{PATH}/{word}")

    assert (refused.status, refused.document["type"], unread.status) == (422, "/problems/environment-unknown", 422)
    assert said in f"{refused.document['detail']} {refused.document['fix']}"
    assert await door.marks() == marks


async def test_other_words_for_an_environment_mean_the_same_deployment(door: Door) -> None:
    await door.create()
    await door.register()

    (await door.call("PUT", f"{PATH}/development", {"url": ENDPOINT})).expect(200)

    assert (await door.call("GET", f"{PATH}/dev")).expect(200)["environment"] == "dev"


async def test_the_same_deployment_again_changes_nothing(door: Door) -> None:
    await door.create()
    await door.register()
    await door.deploy(1)
    marks = await door.marks()

    await door.deploy(1)

    assert await door.marks() == marks


async def test_a_new_production_endpoint_of_a_champion_is_routed_at_once(door: Door) -> None:
    await door.create()
    await door.promote()
    documents = len(await door.facts("routes.v1"))

    (await door.call("PUT", f"{PATH}/production", {"url": f"{ENDPOINT}/moved", "health": "healthy"})).expect(200)
    (await door.call("PUT", f"{PATH}/staging", {"url": f"{ENDPOINT}/aside"})).expect(200)

    routes = await door.facts("routes.v1")
    [version] = routes[-1]["event"]["versions"]
    assert len(routes) == documents + 1
    assert (version["endpoint"]["url"], version["endpoint"]["revision"]) == (f"{ENDPOINT}/moved", 2)


async def test_a_deployment_is_recorded_with_its_fact_and_its_audit_entry(door: Door) -> None:
    await door.create()
    await door.register()

    await door.deploy(1)
    await door.deploy(1, health="unhealthy")

    entry = (await door.audit())[-1]
    assert (await door.types_of_facts())[-2:] == ["deployment.recorded"] * 2
    assert entry["subject"] == "registered-models/risk/versions/1/deployments/production"
    assert (entry["before"]["health"], entry["after"]["health"]) == ("healthy", "unhealthy")


async def test_deployments_are_read_by_environment(door: Door) -> None:
    await door.create()
    await door.register()
    (await door.call("PUT", f"{PATH}/staging", {"url": ENDPOINT})).expect(200)
    await door.deploy(1)

    listed = (await door.call("GET", PATH)).expect(200)["items"]
    one = (await door.call("GET", f"{PATH}/staging")).expect(200)

    assert [each["environment"] for each in listed] == ["production", "staging"]
    assert one in listed
    assert (await door.call("GET", f"{PATH}/test")).status == 404
    assert (await door.call("GET", f"{versions()}/2/deployments")).status == 404


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"url": "ftp://host/x"},
        {"url": "http://user:secret@host/x"},
        {"url": ENDPOINT, "protocol": "carrier-pigeon"},
        {"url": ENDPOINT, "timeout_s": 0},
        {"url": ENDPOINT, "timeout_s": 61},
        {"url": ENDPOINT, "health": "fine"},
        {"url": ENDPOINT, "inputs": [{"name": "income", "datatype": "DECIMAL"}]},
        {"url": ENDPOINT, "replicas": 3},
    ],
)
async def test_a_bad_deployment_is_refused_and_changes_nothing(door: Door, document: dict[str, object]) -> None:
    await door.create()
    await door.register()
    marks = await door.marks()

    reply = await door.call("PUT", f"{PATH}/production", document)

    assert reply.status == 422
    assert reply.is_problem
    assert "secret" not in reply.body.decode()
    assert await door.marks() == marks
