"""Routing documents: each change of routing is one new document, on HTTP and on Kafka alike."""

import asyncio
import json

import pytest

from tests.integration.registry.registry_world import ENDPOINT, MODEL_TYPE, RegistryWorld
from tests.integration.registry.relay_world import until
from tests.world.http_client import Reply
from tests.world.registry import an_evidence

pytestmark = pytest.mark.integration

TEMPLATE = "https://loans.example/features/{tenant}/{entity_type}/{entity_id}"


async def test_a_promotion_publishes_the_champion_with_its_endpoint(registry_world: RegistryWorld) -> None:
    await registry_world.a_model("everyone")
    number = await registry_world.a_version("everyone", evidence=an_evidence(training_examples=4_000))

    route = await registry_world.route()

    assert route["champions"] == [
        {"scope": "global", "industry": None, "tenant": None, "model": "everyone", "number": number, "former": None}
    ]
    (version,) = route["versions"]
    assert (version["model"], version["number"], version["stage"]) == ("everyone", number, "production")
    assert version["endpoint"]["url"] == ENDPOINT
    assert version["training_examples"] == 4_000
    assert version["aliases"] == ["champion"]

    async def is_published() -> bool:
        documents = await registry_world.published_routes()
        return bool(documents) and documents[-1].model_dump(mode="json") == route

    await until(is_published)


async def test_promotions_at_once_of_models_of_one_type_do_not_erase_each_other(
    registry_world: RegistryWorld,
) -> None:
    industries = [f"industry-{number}" for number in range(6)]
    for industry in industries:
        await registry_world.a_model(f"model-{industry}", scope="industry", industry=industry)
    numbers = [await registry_world.a_version(f"model-{each}", to_stage="staging") for each in industries]

    async with asyncio.TaskGroup() as group:
        moves = [
            group.create_task(registry_world.registry.move(f"model-{each}", number, "production"))
            for each, number in zip(industries, numbers, strict=True)
        ]

    for move in moves:
        move.result().expect(200, 201)
    route = await registry_world.route()
    assert {each["industry"] for each in route["champions"]} == set(industries)

    async def are_all_published() -> bool:
        published = await registry_world.published_routes()
        return bool(published) and published[-1].revision == route["revision"]

    await until(are_all_published)
    revisions = [each.revision for each in await registry_world.published_routes()]
    assert revisions == list(range(1, route["revision"] + 1))


async def test_settings_change_the_document_and_leave_audit_entries(registry_world: RegistryWorld) -> None:
    registry, path = registry_world.registry, f"/routes/{MODEL_TYPE}"
    await registry_world.a_model("everyone")
    policy = {"training_examples_min": 10, "improvement_min": 0.2}
    (await registry.call("PUT", f"{path}/policy", policy)).expect(200)
    (await registry.read_features_from(TEMPLATE, model_type=MODEL_TYPE)).expect(200)
    (await registry.call("PUT", f"{path}/shadow-sample", {"sample_bp": 500})).expect(200)
    reply = await registry.call("PUT", f"{path}/kill-switch", {"reason": "odd"}, query={"tenant": "CA"})

    document = reply.expect(200)
    assert document == await registry_world.route()
    assert document["policy"] == policy
    assert document["feature_source"] == {"url_template": TEMPLATE, "timeout_s": 5.0, "revision": 1}
    assert document["shadow_sample_bp"] == 500
    assert document["kill_switches"] == [{"tenant": "CA", "reason": "odd"}]
    assert document["revision"] == 4
    entries = await registry.items("/audit-entries")
    assert {entry["action"] for entry in entries} - {"project.created", "registered_model.created"} == {
        "route_policy.set",
        "route_feature_source.set",
        "route_shadow_sample.set",
        "route_kill_switch.set",
    }


async def test_a_feature_source_that_is_set_again_has_a_new_revision(registry_world: RegistryWorld) -> None:
    registry = registry_world.registry
    await registry_world.a_model("everyone")
    await registry.read_features_from(TEMPLATE, model_type=MODEL_TYPE)
    unchanged = (await registry.read_features_from(TEMPLATE, model_type=MODEL_TYPE)).expect(200)
    gone = (await _put(registry_world, f"/routes/{MODEL_TYPE}/feature-source", None)).expect(200)
    again = (await registry.read_features_from(TEMPLATE, model_type=MODEL_TYPE)).expect(200)

    assert unchanged["feature_source"]["revision"] == 1
    assert unchanged["revision"] == 1
    assert gone["feature_source"] is None
    assert again["feature_source"]["revision"] == 2


async def test_a_kill_switch_is_taken_back_for_whom_it_was_set(registry_world: RegistryWorld) -> None:
    registry, path = registry_world.registry, f"/routes/{MODEL_TYPE}/kill-switch"
    await registry_world.a_model("everyone")
    await registry.call("PUT", path, {"reason": "all"})
    await registry.call("PUT", path, {"reason": "one"}, query={"tenant": "CA"})

    document = (await registry.call("DELETE", path)).expect(200)
    refusal = await registry.call("DELETE", path)

    assert document["kill_switches"] == [{"tenant": "CA", "reason": "one"}]
    assert refusal.status == 404
    assert refusal.is_problem


@pytest.mark.parametrize(
    ("setting", "body"),
    [
        ("kill-switch", {"reason": "incident"}),
        ("policy", {"training_examples_min": 10, "improvement_min": 0.2}),
        ("feature-source", {"url_template": TEMPLATE}),
        ("feature-source", None),
        ("shadow-sample", {"sample_bp": 500}),
    ],
)
async def test_a_setting_of_a_type_without_models_is_refused_with_the_types_spelled_like_it(
    registry_world: RegistryWorld, setting: str, body: dict[str, object] | None
) -> None:
    registry, misspelled = registry_world.registry, f"{MODEL_TYPE}s"
    await registry_world.a_model("everyone")

    refused = await _put(registry_world, f"/routes/{misspelled}/{setting}", body)

    assert refused.status == 404
    assert refused.is_problem
    assert refused.document["near"] == [MODEL_TYPE]
    assert f"Did you mean {MODEL_TYPE}?" in refused.document["fix"]
    assert (await registry.call("GET", f"/routes/{misspelled}")).status == 404
    (await _put(registry_world, f"/routes/{MODEL_TYPE}/{setting}", body)).expect(200)


async def test_settings_are_taken_back_after_the_last_model_of_the_type_is_gone(registry_world: RegistryWorld) -> None:
    registry, path = registry_world.registry, f"/routes/{MODEL_TYPE}"
    await registry_world.a_model("everyone", model_type=MODEL_TYPE)
    (await registry.call("PUT", f"{path}/kill-switch", {"reason": "incident"})).expect(200)
    (await registry.read_features_from(TEMPLATE, model_type=MODEL_TYPE)).expect(200)
    (await registry.call("DELETE", "/registered-models/everyone")).expect(200)

    document = (await _put(registry_world, f"{path}/feature-source", None)).expect(200)
    cleared = (await registry.call("DELETE", f"{path}/kill-switch")).expect(200)

    assert document["feature_source"] is None
    assert cleared["kill_switches"] == []


async def test_a_setting_that_makes_no_sense_is_refused_and_changes_nothing(registry_world: RegistryWorld) -> None:
    await registry_world.a_model("everyone")
    refused: list[tuple[str, dict[str, object]]] = [
        ("feature-source", {"url_template": "ftp://loans.example/{entity_id}"}),
        ("feature-source", {"url_template": "https://a:b@loans.example/{entity_id}"}),
        ("feature-source", {"url_template": "https://loans.example/{entity_id}/{secret}"}),
        ("policy", {"training_examples_min": -1, "improvement_min": 0.1}),
        ("policy", {"training_examples_min": 1, "improvement_min": 0.1, "typo": 1}),
        ("shadow-sample", {"sample_bp": 10_001}),
        ("kill-switch", {"reason": ""}),
    ]
    for setting, body in refused:
        reply = await registry_world.registry.call("PUT", f"/routes/{MODEL_TYPE}/{setting}", body)

        assert reply.status == 422, reply
        assert reply.is_problem
    assert (await registry_world.registry.call("GET", f"/routes/{MODEL_TYPE}")).status == 404


async def test_a_change_whose_event_no_broker_would_take_is_refused_and_holds_nothing_up(
    registry_world: RegistryWorld,
) -> None:
    await registry_world.a_model("everyone")
    digest = await registry_world.registry.upload(b"a model")
    evidence = {**an_evidence(), "parameters": {f"notes {number}": "x" * 5_000 for number in range(204)}}

    refusal = await registry_world.registry.register("everyone", digest=digest, run_id="run", evidence=evidence)
    number = await registry_world.a_version("everyone")

    assert refusal.status == 422
    assert refusal.document["type"] == "/problems/event-too-large"
    assert number == 1

    async def is_published() -> bool:
        return bool(await registry_world.published_routes())

    await until(is_published)


async def _put(world: RegistryWorld, path: str, body: object) -> Reply:
    """PUT the body, which may be null."""
    return await world.http.call(
        "PUT",
        world.registry.path(path),
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
