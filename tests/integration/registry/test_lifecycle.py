"""Transitions and champions over HTTP, with the facts, the audit entries and the routes they leave."""

import asyncio
from datetime import timedelta

import pytest

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration


async def test_a_promotion_moves_the_champion_in_the_same_transaction(door: Door) -> None:
    await door.create()

    number = await door.promote(reason="better by 5 %")

    assert (await door.stage_of(number), await door.champion()) == ("production", number)
    assert await door.types_of_facts() == [
        "registered_model.created",
        "model_version.registered",
        "deployment.recorded",
        "model_version.transitioned",
        "model_version.transitioned",
        "alias.moved",
    ]
    assert [fact["sequence"] for fact in await door.facts()] == list(range(1, 7))
    assert (await door.actions())[-2:] == ["model_version.transitioned", "alias.moved"]
    assert (await door.audit())[-1]["reason"] == "better by 5 %"
    assert await door.champions_routed() == [("risk", number)]


async def test_a_former_champion_stays_in_production_until_it_is_deprecated(door: Door) -> None:
    await door.create()
    first, second = await door.promote(), await door.promote()

    assert (await door.stage_of(first), await door.champion()) == ("production", second)
    (await door.move(first, "deprecated")).expect(200)
    (await door.move(first, "archived")).expect(200)

    routed = (await door.facts("routes.v1"))[-1]["event"]["versions"]
    assert [version["number"] for version in routed] == [second]


async def test_a_refused_move_changes_nothing_and_says_what_is_possible(door: Door) -> None:
    await door.create()
    await door.register()
    facts = await door.facts()

    reply = await door.move(1, "production")

    assert reply.status == 409
    assert reply.is_problem
    assert [each["to_stage"] for each in reply.document["possible"]] == ["staging", "archived"]
    assert await door.facts() == facts
    refusal = (await door.audit())[-1]
    assert (refusal["action"], refusal["subject"]) == (
        "model_version.transitioned.refused",
        "registered-models/risk/versions/1",
    )


@pytest.mark.parametrize("to_stage", ["canary", "production"])
@pytest.mark.parametrize("health", [None, "unhealthy"])
async def test_serving_needs_a_healthy_endpoint(door: Door, to_stage: str, health: str | None) -> None:
    await door.create()
    await door.register()
    (await door.move(1, "testing")).expect(200)
    if health is not None:
        await door.deploy(1, health=health)

    refused = await door.move(1, to_stage)
    await door.deploy(1, health="unknown")
    moved = await door.move(1, to_stage)

    assert refused.status == 409
    assert "deployment in production" in refused.document["fix"]
    assert moved.expect(200)["stage"] == to_stage


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"to_stage": "approved"}, 422),
        ({"to_stage": "evaluating"}, 422),
        ({"to_stage": ""}, 422),
        ({}, 422),
        ({"to_stage": "staging", "reason": "x" * 1_001}, 422),
        ({"to_stage": "staging", "replaces": "risk"}, 409),
        ({"to_stage": "development"}, 409),
    ],
)
async def test_a_bad_transition_is_refused(door: Door, document: dict[str, object], status: int) -> None:
    await door.create()
    await door.register()
    facts = await door.facts()

    reply = await door.call("POST", f"{versions()}/1/transitions", document)

    assert reply.status == status
    assert reply.is_problem
    assert await door.facts() == facts


async def test_a_quarantined_version_is_not_promoted_and_leaves_the_route(door: Door) -> None:
    await door.create()
    champion = await door.promote()
    path = f"{versions()}/{champion}/quarantine"

    quarantined = (await door.call("PUT", path, {"quarantined": True, "reason": "leak"})).expect(200)
    marks = await door.marks()
    (await door.call("PUT", path, {"quarantined": True})).expect(200)

    [routed] = (await door.facts("routes.v1"))[-1]["event"]["versions"]
    assert quarantined["quarantined"]
    assert routed["quarantined"]
    assert (await door.types_of_facts())[-1] == "model_version.quarantined"
    assert await door.marks() == marks
    await door.register()
    await door.deploy(2)
    (await door.call("PUT", f"{versions()}/2/quarantine", {"quarantined": True})).expect(200)
    assert (await door.move(2, "staging")).status == 409


async def test_a_champion_is_not_deprecated(door: Door) -> None:
    await door.create()
    champion = await door.promote()

    reply = await door.move(champion, "deprecated")

    assert reply.status == 409
    assert "roll back" in reply.document["fix"]
    assert await door.champion() == champion


async def test_one_registered_model_serves_a_slot(door: Door) -> None:
    await door.create("old")
    await door.create("new")
    await door.promote(name="old")
    await door.register("new")
    await door.deploy(1, name="new")
    (await door.move(1, "staging", name="new")).expect(200)

    refused = await door.move(1, "production", name="new")
    wrong = await door.move(1, "production", name="new", replaces="other")
    replaced = await door.move(1, "production", name="new", replaces="old")

    assert (refused.status, wrong.status, replaced.status) == (409, 409, 200)
    assert refused.document["slot_holder"] == "old"
    assert (await door.champion("old"), await door.champion("new")) == (None, 1)
    assert await door.stage_of(1, name="old") == "production"
    assert await door.champions_routed() == [("new", 1)]


async def test_models_of_other_slots_have_their_own_champions(door: Door) -> None:
    await door.create("everyone")
    await door.create("retail", scope="industry", industry="retail")
    await door.create("acme", scope="tenant", tenant="acme")
    await door.create("forecast", model_type="forecasting")

    for name in ("everyone", "retail", "acme", "forecast"):
        await door.promote(name=name)

    assert [await door.champion(name) for name in ("everyone", "retail", "acme", "forecast")] == [1, 1, 1, 1]


async def test_two_models_promoted_at_once_leave_one_champion_in_the_slot(door: Door) -> None:
    names = [f"model-{index}" for index in range(6)]
    for name in names:
        await door.create(name)
        await door.register(name)
        await door.deploy(1, name=name)
        (await door.move(1, "staging", name=name)).expect(200)

    replies = await asyncio.gather(*(door.move(1, "production", name=name) for name in names))

    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409, 409]
    assert [await door.champion(name) for name in names].count(1) == 1
    assert len(await door.champions_routed()) == 1


async def test_versions_promoted_at_once_leave_a_history_without_gaps(door: Door) -> None:
    await door.create()
    for number in range(1, 7):
        await door.register()
        await door.deploy(number)
        (await door.move(number, "staging")).expect(200)

    replies = await asyncio.gather(*(door.move(number, "production") for number in range(1, 7)))

    moves = [fact["event"] for fact in await door.facts() if fact["type"] == "alias.moved.v1"]
    routes = await door.facts("routes.v1")
    assert {reply.status for reply in replies} == {200}
    assert [move["from_number"] for move in moves] == [None, *(move["to_number"] for move in moves[:-1])]
    assert await door.champion() == moves[-1]["to_number"]
    assert [route["sequence"] for route in routes] == list(range(1, len(routes) + 1))
    assert await door.champions_routed() == [("risk", moves[-1]["to_number"])]


async def test_the_route_follows_a_treatment_that_leaves_production(door: Door) -> None:
    await door.create()
    treatment = await door.promote()
    await door.promote()
    variant = {"model": "risk", "number": treatment, "share_bp": 5000}
    experiment = {"key": "try", "model_type": "risk_scoring", "treatment": variant}
    (await door.call("POST", "/experiments", experiment)).expect(201)

    (await door.move(treatment, "deprecated")).expect(200)

    routed = (await door.facts("routes.v1"))[-1]["event"]["versions"]
    assert {each["number"]: each["stage"] for each in routed}[treatment] == "deprecated"


async def test_what_an_experiment_sends_callers_to_is_not_archived(door: Door) -> None:
    await door.create()
    await door.promote()
    treatment = int((await door.register())["number"])
    await door.deploy(treatment)
    for stage in ("staging", "canary"):
        (await door.move(treatment, stage)).expect(200)
    variant = {"model": "risk", "number": treatment, "share_bp": 5000}
    experiment = {"key": "try", "model_type": "risk_scoring", "treatment": variant}
    (await door.call("POST", "/experiments", experiment)).expect(201)

    refused = await door.move(treatment, "archived")
    (await door.call("POST", "/experiments/try/stop", {})).expect(200)
    archived = await door.move(treatment, "archived")

    assert (refused.status, archived.status) == (409, 200)
    assert "stop it first" in refused.document["fix"]


async def test_who_was_champion_at_a_moment_has_an_answer(door: Door) -> None:
    await door.create()
    start = door.clock.now
    first = await door.promote()
    after_first = door.clock.now
    await door.promote()
    (await door.roll_back(2, reason="it errs")).expect(200)

    path = "/registered-models/risk/champion"
    now = (await door.call("GET", path)).expect(200)
    then = (await door.call("GET", path, query={"at": after_first.isoformat()})).expect(200)
    middle = (await door.call("GET", path, query={"at": (after_first + timedelta(hours=-1)).isoformat()})).status
    never = await door.call("GET", path, query={"at": start.isoformat()})

    assert (now["number"], then["number"]) == (first, first)
    assert now["champion_since"] > then["champion_since"]
    assert now["version"]["aliases"] == ["champion"]
    assert (middle, never.status) == (404, 404)
    assert (await door.call("GET", path, query={"at": "2026-03-03T12:00:00"})).status == 422


async def test_transitions_are_remembered_with_who_and_why(door: Door) -> None:
    await door.create()
    await door.register()
    (await door.move(1, "staging", reason="looks good")).expect(200)
    (await door.move(1, "development", reason="it was not")).expect(200)

    first = (await door.call("GET", f"{versions()}/1/transitions", query={"page_size": "1"})).expect(200)
    rest = (
        await door.call("GET", f"{versions()}/1/transitions", query={"page_token": first["next_page_token"]})
    ).expect(200)

    assert [each["reason"] for each in first["items"] + rest["items"]] == ["it was not", "looks good"]
    assert (rest["items"][0]["from_stage"], rest["items"][0]["transitioned_by"]) == ("development", "ann")
    assert rest["next_page_token"] is None


async def test_the_lifecycle_of_another_projects_model_is_out_of_reach(door: Door) -> None:
    await door.create()
    await door.promote()
    elsewhere = await door.beside()

    assert (await elsewhere.move(1, "deprecated")).status == 404
    assert (await elsewhere.roll_back(1, reason="it errs")).status == 404
    assert (await elsewhere.call("PUT", f"{versions()}/1/quarantine", {"quarantined": True})).status == 404
    assert await door.champion() == 1


async def test_a_move_that_meets_a_rename_is_made_or_finds_no_such_model(door: Door) -> None:
    await door.create("name-0")
    await door.register("name-0")
    statuses = set()

    for attempt in range(10):
        name, stage = f"name-{attempt}", ("staging", "development")
        renamed = door.call("POST", f"/registered-models/{name}/rename", {"name": f"name-{attempt + 1}"})
        moves = (door.move(1, to_stage, name=name) for to_stage in stage * 3)
        first, *replies = await asyncio.gather(renamed, *moves)
        first.expect(200)
        statuses |= {reply.status for reply in replies}

    assert statuses <= {200, 404, 409}
