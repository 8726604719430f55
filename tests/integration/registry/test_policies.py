"""Policies over HTTP: a project's, a model's own over it, and the revision that guards against overwriting."""

import asyncio
from typing import Any

import pytest

from tests.integration.registry.door import Door

pytestmark = pytest.mark.integration

POLICIES = "/policies"
OF_RISK = "/registered-models/risk/policy"
TWO_APPROVERS: dict[str, Any] = {"to_stage": "production", "approvals": {"count": 2, "role": "approver"}}


async def test_a_project_without_a_policy_demands_nothing(door: Door) -> None:
    found = (await door.call("GET", POLICIES)).expect(200)

    assert (found["revision"], found["policy"]["moves"]) == (0, None)
    assert (found["effective"]["moves"], found["effective"]["champion"]) == ([], "auto")


async def test_a_policy_is_set_once_per_change_with_its_fact_and_audit_entry(door: Door) -> None:
    policy = {"moves": [TWO_APPROVERS], "reason": "two pairs of eyes"}

    first = (await door.call("PUT", POLICIES, policy)).expect(200)
    again = (await door.call("PUT", POLICIES, policy)).expect(200)

    assert (first["revision"], again["revision"]) == (1, 1)
    [fact] = await door.facts()
    assert (fact["type"], fact["key"], fact["sequence"]) == ("policy.changed.v1", door.project, 1)
    assert fact["event"]["after"]["moves"][0]["approvals"] == {"count": 2, "role": "approver"}
    [entry] = await door.audit()
    assert (entry["action"], entry["subject"], entry["reason"]) == ("policy.changed", "policies", "two pairs of eyes")


async def test_a_change_that_looked_at_another_revision_is_refused(door: Door) -> None:
    (await door.call("PUT", POLICIES, {"champion": "manual"}, headers={"If-Match": '"0"'})).expect(200)

    stale = await door.call("PUT", POLICIES, {"champion": "if_better"}, headers={"If-Match": '"0"'})
    right = await door.call("PUT", POLICIES, {"champion": "if_better"}, headers={"If-Match": '"1"'})

    assert (stale.status, stale.document["revision"]) == (412, 1)
    assert right.expect(200)["revision"] == 2
    assert (await door.actions()) == ["policy.changed", "policy.changed.refused", "policy.changed"]


async def test_of_changes_made_at_once_on_the_same_revision_one_wins(door: Door) -> None:
    policies = [{"protected_aliases": [{"alias": f"alias-{index}"}]} for index in range(6)]

    replies = await asyncio.gather(
        *(door.call("PUT", POLICIES, policy, headers={"If-Match": '"0"'}) for policy in policies)
    )

    assert sorted(reply.status for reply in replies) == [200, 412, 412, 412, 412, 412]


async def test_a_models_own_policy_goes_before_its_projects_in_what_it_says(door: Door) -> None:
    await door.create()
    staging = {"to_stage": "staging", "gates": [{"gate": "tests_passed"}]}
    (await door.call("PUT", POLICIES, {"moves": [TWO_APPROVERS, staging], "champion": "manual"})).expect(200)

    own = {"moves": [{**TWO_APPROVERS, "approvals": {"count": 1, "role": "approver"}}]}
    found = (await door.call("PUT", OF_RISK, own)).expect(200)

    effective = found["effective"]
    by_stage = {rule["to_stage"]: rule for rule in effective["moves"]}
    assert (found["revision"], effective["champion"]) == (1, "manual")
    assert by_stage["production"]["approvals"]["count"] == 1
    assert by_stage["staging"]["gates"] == [{"gate": "tests_passed"}]
    assert (await door.facts())[-1]["event"]["model"] == "risk"
    assert (await door.call("GET", OF_RISK)).expect(200) == found


@pytest.mark.parametrize(
    "policy",
    [
        {"moves": [{"to_stage": "heaven"}]},
        {"moves": [{"to_stage": "production", "gates": [{"gate": "vibes"}]}]},
        {"moves": [{"to_stage": "production", "gates": [{"gate": "performance", "metric": "auc"}]}]},
        {"moves": [{"to_stage": "production", "gates": [{"gate": "performance", "metric": "a", "min": 2, "max": 1}]}]},
        {"moves": [{"to_stage": "production", "approvals": {"count": 0}}]},
        {"moves": [{"to_stage": "production", "approvals": {"count": 1, "role": "king"}}]},
        {"moves": [{"to_stage": "production", "expiry_hours": 0}]},
        {"moves": [TWO_APPROVERS, TWO_APPROVERS]},
        {"allowed_moves": []},
        {"allowed_moves": [{"from_stage": "staging", "to_stage": "staging"}]},
        {"champion": "whenever"},
        {"champions": "auto"},
        {"protected_aliases": [{"alias": "a"}, {"alias": "a"}]},
    ],
)
async def test_a_bad_policy_is_refused_and_changes_nothing(door: Door, policy: dict[str, Any]) -> None:
    reply = await door.call("PUT", POLICIES, policy)

    assert reply.status == 422
    assert reply.is_problem
    assert await door.marks() == (0, 0)


@pytest.mark.parametrize("if_match", ["abc", '"1', "-1", "1" * 30])
async def test_a_revision_that_is_none_is_refused(door: Door, if_match: str) -> None:
    reply = await door.call("PUT", POLICIES, {}, headers={"If-Match": if_match})

    assert (reply.status, reply.is_problem) == (422, True)


async def test_the_policy_of_a_model_that_is_not_there_is_not_found(door: Door) -> None:
    assert (await door.call("GET", OF_RISK)).status == 404
    assert (await door.call("PUT", OF_RISK, {"champion": "manual"})).status == 404
