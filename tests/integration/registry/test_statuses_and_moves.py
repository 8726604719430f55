"""Build and review statuses as a need of moves, over HTTP: what is not made, or was rejected, is not promoted."""

from typing import Any

import pytest

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration


async def say(door: Door, number: int, **status: str) -> None:
    """Set `build_status` or `review_status`."""
    [name] = status
    (await door.call("PUT", f"{versions()}/{number}/{name.replace('_', '-')}", status)).expect(200)


def needs_of(problem: Any, to_stage: str) -> list[str]:
    """What a refusal says the move to `to_stage` still needs."""
    [needs] = [move["needs"] for move in problem["possible"] if move["to_stage"] == to_stage]
    return list(needs)


@pytest.mark.parametrize("status", ["training", "failed"])
async def test_a_version_that_is_not_made_stays_in_development_until_it_is(door: Door, status: str) -> None:
    await door.create()
    await door.register(build_status="training")
    if status == "failed":
        await say(door, 1, build_status="failed")

    refused = await door.move(1, "staging")
    await say(door, 1, build_status="evaluating")

    assert (refused.status, refused.document["type"]) == (409, "/problems/transition-refused")
    assert "build status" in refused.document["fix"]
    assert needs_of(refused.document, "staging") == [refused.document["fix"]]
    assert needs_of(refused.document, "archived") == []
    assert (await door.move(1, "staging")).status == 200


async def test_a_version_that_failed_or_was_rejected_meanwhile_goes_no_further_but_back(door: Door) -> None:
    await door.create()
    for number in (1, 2):
        await door.register()
        await door.deploy(number)
        (await door.move(number, "staging")).expect(200)
    (await door.move(2, "canary")).expect(200)
    await say(door, 1, build_status="failed")
    await say(door, 2, review_status="rejected")

    refusals = [await door.move(1, "canary"), await door.move(1, "production"), await door.move(2, "production")]

    assert [reply.status for reply in refusals] == [409] * 3
    assert ["build status" in reply.document["fix"] for reply in refusals] == [True, True, False]
    assert "review status" in refusals[-1].document["fix"]
    assert (await door.actions())[-1] == "model_version.transitioned.refused"
    assert [(await door.move(2, "staging")).status, (await door.move(1, "development")).status] == [200, 200]


async def test_a_rejection_stands_against_what_was_approved(door: Door) -> None:
    await door.create()
    move = {"to_stage": "production", "approvals": {"count": 1, "role": "approver"}}
    (await door.call("PUT", "/policies", {"moves": [move]})).expect(200)
    await door.register()
    await door.deploy(1)
    (await door.move(1, "staging")).expect(200)
    asked = (await door.call("POST", f"{versions()}/1/transition-requests", {"to_stage": "production"})).expect(201)
    await say(door, 1, review_status="rejected")

    path = f"/transition-requests/{asked['request_id']}/approve"
    bob = door.http.__class__(session=door.http.session, url=door.http.url, token="bobs-token")
    reply = await bob.call("POST", f"/api/v1/projects/{door.project}{path}", {})

    assert (reply.status, reply.document["type"]) == (409, "/problems/transition-refused")
    assert await door.stage_of(1) == "staging"


async def test_policy_says_which_statuses_go_on_and_a_model_goes_before_its_project(door: Door) -> None:
    await door.create("risk")
    await door.create("other", scope="industry", industry="retail")
    strict = {"build_statuses": ["ready"], "review_statuses": ["approved"]}
    lax = {"build_statuses": ["training", "failed", "ready"], "review_statuses": ["rejected", "pending_review"]}
    (await door.call("PUT", "/policies", strict)).expect(200)
    held = (await door.call("PUT", "/registered-models/other/policy", lax)).expect(200)
    await door.register("risk", build_status="evaluating")
    await door.register("other", build_status="training")

    refused = await door.move(1, "staging")
    allowed = await door.move(1, "staging", name="other")
    await say(door, 1, build_status="ready")
    unread = await door.move(1, "staging")
    await say(door, 1, review_status="approved")

    assert held["effective"]["build_statuses"] == lax["build_statuses"]
    assert len(needs_of(refused.document, "staging")) == 2
    assert (allowed.status, unread.status) == (200, 409)
    assert (await door.move(1, "staging")).status == 200


async def test_a_rollback_passes_over_a_former_champion_that_was_rejected_since(door: Door) -> None:
    await door.create()
    for _ in range(3):
        await door.promote()
    await say(door, 2, review_status="rejected")

    rolled = (await door.roll_back(3)).expect(200)

    assert rolled["restored"] == 1


async def test_nobody_appoints_a_champion_that_was_rejected(door: Door) -> None:
    await door.create()
    (await door.call("PUT", "/policies", {"champion": "manual"})).expect(200)
    await door.promote()
    await say(door, 1, review_status="rejected")

    reply = await door.call("POST", "/registered-models/risk/champion", {"number": 1, "replaces": None})

    assert (reply.status, reply.document["type"]) == (409, "/problems/appointment-refused")
