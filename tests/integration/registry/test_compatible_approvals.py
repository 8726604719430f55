"""Other registries' APIs under a policy that demands approvals: they ask, and never go around it."""

import pytest

from tests.integration.registry.approvals_world import Guarded
from tests.integration.registry.door import Document, Door, versions
from tests.integration.registry.test_compatible_apis import BY_NAME, REGISTRY, a_model, a_servable_version, ask, move

pytestmark = pytest.mark.integration

MODEL = "credit-risk-model"


@pytest.fixture
async def guarded(door: Door) -> Guarded:
    """Moves to production need one approval, and so does archiving what is deprecated."""
    guarded = Guarded(door=door)
    moves = [{"to_stage": stage, "approvals": {"count": 1, "role": "approver"}} for stage in ("production", "archived")]
    (await door.call("PUT", "/policies", {"moves": moves})).expect(200)
    return guarded


async def staged(door: Door) -> str:
    """The id of a version in staging that could be served."""
    version_id = await a_servable_version(door, await a_model(door), version="v1.0.0", content=b"one")
    (await move(door, version_id, "staging", "Initial deployment")).expect(200)
    return version_id


async def promoted(guarded: Guarded) -> str:
    """The id of a version that others agreed to see in production."""
    version_id = await staged(guarded.door)
    asked = (await move(guarded.door, version_id, "production", "Passed all tests")).expect(202)
    (await guarded.say("approve", asked["transition_request"]["request_id"], actor="cem")).expect(200)
    return version_id


async def version_of(door: Door) -> Document:
    found: Document = (await door.call("GET", f"{versions(MODEL)}/1")).expect(200)
    return found


async def test_a_move_by_id_is_asked_for_and_made_when_others_agree(guarded: Guarded) -> None:
    door = guarded.door
    version_id = await staged(door)

    asked = (await move(door, version_id, "production", "Passed all tests")).expect(202)
    waiting = await version_of(door)
    again = await move(door, version_id, "production", "Passed all tests")
    request = asked["transition_request"]
    (await guarded.say("approve", request["request_id"], actor="cem")).expect(200)

    read = (await ask(door, "GET", f"{REGISTRY}/{asked['model_id']}/versions/v1.0.0")).expect(200)
    listed = (await door.call("GET", f"/transition-requests/{request['request_id']}")).expect(200)
    assert (asked["stage"], waiting["stage"], await door.champion(MODEL)) == ("staging", "staging", 1)
    assert (request["to_stage"], request["approvals_needed"], request["role"]) == ("production", 1, "approver")
    assert request["path"].endswith(f"/transition-requests/{request['request_id']}")
    assert (again.status, again.document["type"]) == (409, "/problems/request-open")
    assert (listed["reason"], listed["requested_by"], listed["state"]) == ("Passed all tests", "ann", "applied")
    assert (read["stage"], read["approved_by"]) == ("production", "cem")


async def test_a_retried_request_is_answered_the_same_and_asks_once(guarded: Guarded) -> None:
    door = guarded.door
    version_id = await staged(door)
    path, key = f"{REGISTRY}/versions/{version_id}/transition", {"Idempotency-Key": f"{door.project}-1"}

    replies = [await ask(door, "POST", path, {"stage": "production"}, headers=key) for _ in range(2)]

    assert [reply.status for reply in replies] == [202, 202]
    assert replies[0].document == replies[1].document
    assert (await door.actions()).count("transition_request.created") == 1


async def test_a_move_by_name_is_asked_for_too(guarded: Guarded) -> None:
    door = guarded.door
    await staged(door)
    path, there = f"{BY_NAME}/{MODEL}/v1.0.0/transition", {"project_id": door.project}

    asked = (await ask(door, "POST", path, {"to_stage": "production"}, query=there)).expect(202)
    early = await door.champion(MODEL)
    (await guarded.say("approve", asked["transition_request"]["request_id"], actor="dee")).expect(200)

    listed = (await ask(door, "GET", BY_NAME, query=there)).expect(200)["models"][0]
    assert (asked["status"], early, listed["production_version"]) == ("staging", None, "v1.0.0")


async def test_who_asked_by_these_ways_does_not_agree_alone(guarded: Guarded) -> None:
    asked = (await move(guarded.door, await staged(guarded.door), "production", "mine")).expect(202)

    own = await guarded.say("approve", asked["transition_request"]["request_id"], actor="ann")

    assert (own.status, own.document["type"]) == (403, "/problems/self-approval")
    assert (await version_of(guarded.door))["stage"] == "staging"


async def test_what_fails_a_gate_is_refused_and_not_asked_for(guarded: Guarded) -> None:
    rule = {"to_stage": "production", "approvals": {"count": 1}, "gates": [{"gate": "compliance"}]}
    (await guarded.door.call("PUT", "/policies", {"moves": [rule]})).expect(200)

    refused = await move(guarded.door, await staged(guarded.door), "production", "try")

    assert (refused.status, refused.document["type"]) == (409, "/problems/gates-failed")
    assert "transition_request.created" not in await guarded.door.actions()


async def test_archiving_and_deleting_wait_where_others_must_agree_to_them(guarded: Guarded) -> None:
    door = guarded.door
    version_id = await staged(door)
    path = f"{REGISTRY}/versions/{version_id}"

    deleted = (await ask(door, "DELETE", path)).expect(202)
    stage = (await version_of(door))["stage"]
    (await guarded.say("approve", deleted["transition_request"]["request_id"], actor="cem")).expect(200)

    assert (deleted["stage"], stage) == ("staging", "staging")
    assert (await version_of(door))["stage"] == "archived"
    assert (await ask(door, "DELETE", path)).expect(200)["stage"] == "archived"


async def test_of_archiving_from_production_the_part_that_needs_nobody_is_made_and_the_rest_asked_for(
    guarded: Guarded,
) -> None:
    door = guarded.door
    first = await promoted(guarded)
    (await ask(door, "GET", f"{REGISTRY}/versions/{first}/transitions")).expect(200)
    model_id = (await ask(door, "GET", REGISTRY, query={"project_id": door.project})).expect(200)["items"][0]["id"]
    second = await a_servable_version(door, model_id, version="v2.0.0", content=b"two")
    (await move(door, second, "staging", "next")).expect(200)
    asked = (await move(door, second, "production", "next")).expect(202)
    (await guarded.say("approve", asked["transition_request"]["request_id"], actor="cem")).expect(200)

    waiting = (await move(door, first, "archived", "Replaced by v2")).expect(202)

    assert waiting["transition_request"]["to_stage"] == "archived"
    assert (await version_of(door))["stage"] == "deprecated"


async def test_a_move_is_made_only_of_what_was_seen(guarded: Guarded) -> None:
    version_id = await staged(guarded.door)
    path = f"{REGISTRY}/versions/{version_id}/transition"

    late = await ask(guarded.door, "POST", path, {"stage": "development"}, headers={"If-Match": '"1"'})
    seen = f'"{late.document["revision"]}"'
    made = await ask(guarded.door, "POST", path, {"stage": "development"}, headers={"If-Match": seen})

    assert (late.status, made.status) == (412, 200)
