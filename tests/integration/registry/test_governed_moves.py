"""Moves under a policy, over HTTP: gates with their verdicts, dry runs, the project's own table, history."""

from dataclasses import replace
from typing import Any

import pytest

from tests.integration.registry.door import Document, Door, versions
from tests.world.http_client import Reply

pytestmark = pytest.mark.integration

AUC_GATE = {"gate": "performance", "metric": "auc", "min": 0.8}


async def demand(door: Door, to_stage: str, *gates: Document, **facts: Any) -> None:
    """Set the project's policy: these gates before `to_stage`."""
    policy = {"moves": [{"to_stage": to_stage, "gates": list(gates)}], **facts}
    (await door.call("PUT", "/policies", policy)).expect(200)


def measured(auc: float, *, on: str = "holdout-7", **said: Any) -> Document:
    return {"evidence": {"metrics": {"auc": auc}, "validation_data_version": on, **said}}


async def staged(door: Door, auc: float, **said: Any) -> int:
    """A version in staging that could go on; answers its number."""
    number = int((await door.register(**measured(auc, **said)))["number"])
    await door.deploy(number)
    (await door.move(number, "staging")).expect(200)
    return number


async def check(door: Door, number: int, *, kind: str = "tests", outcome: str = "passed", by: str = "bob") -> Reply:
    """A check of a version, recorded by somebody who did not make it."""
    digest = (await door.call("GET", f"{versions()}/{number}")).expect(200)["digest"]
    checker = replace(door, http=replace(door.http, token=f"{by}s-token"))
    body = {"kind": kind, "outcome": outcome, "digest": digest, "report_url": "https://scans.example.com/1"}
    return await checker.call("POST", f"{versions()}/{number}/checks", body)


async def dry_run(door: Door, number: int, to_stage: str = "production") -> Document:
    path = f"{versions()}/{number}/transitions/dry-run"
    found: Document = (await door.call("POST", path, {"to_stage": to_stage})).expect(200)
    return found


async def test_a_move_that_fails_a_gate_is_refused_with_every_verdict_and_changes_nothing(door: Door) -> None:
    await door.create()
    await demand(door, "production", AUC_GATE, {"gate": "security", "formats": ["unknown"]})
    number = await staged(door, 0.7)
    facts = await door.facts()

    reply = await door.move(number, "production")

    assert (reply.status, reply.document["type"]) == (409, "/problems/gates-failed")
    assert [(each["gate"], each["passed"]) for each in reply.document["verdicts"]] == [
        ("performance", False),
        ("security", True),
    ]
    assert "auc is 0.7, less than 0.8" in reply.document["fix"]
    assert await door.facts() == facts
    refusal = (await door.audit())[-1]
    assert refusal["action"] == "model_version.transitioned.refused"
    assert refusal["after"]["verdicts"] == reply.document["verdicts"]


async def test_the_verdicts_are_kept_with_the_move_and_its_audit_entry(door: Door) -> None:
    await door.create()
    await demand(door, "production", AUC_GATE)
    number = await staged(door, 0.9)

    (await door.move(number, "production")).expect(200)

    [move, _] = (await door.call("GET", f"{versions()}/{number}/transitions")).expect(200)["items"]
    entry = next(each for each in reversed(await door.audit()) if each["action"] == "model_version.transitioned")
    assert [verdict["passed"] for verdict in move["verdicts"]] == [True]
    assert entry["after"]["verdicts"] == move["verdicts"]
    assert move["verdicts"][0]["evidence"]["value"] == 0.9


async def test_a_dry_run_tells_every_verdict_and_changes_nothing(door: Door) -> None:
    await door.create()
    approvals = {"count": 2, "role": "approver"}
    move = {"to_stage": "production", "gates": [AUC_GATE, {"gate": "review_approved"}], "approvals": approvals}
    (await door.call("PUT", "/policies", {"moves": [move]})).expect(200)
    number = await staged(door, 0.9)
    marks = await door.marks()

    preview = await dry_run(door, number)

    assert (preview["from_stage"], preview["to_stage"], preview["allowed"]) == ("staging", "production", False)
    assert [verdict["passed"] for verdict in preview["verdicts"]] == [True, False]
    assert (preview["approvals_needed"], preview["role"], preview["moves_champion"]) == (2, "approver", True)
    assert await door.marks() == marks


async def test_a_dry_run_of_a_move_that_cannot_be_made_says_what_is_missing_beside_every_verdict(door: Door) -> None:
    await door.create()
    await demand(door, "production", AUC_GATE)
    number = int((await door.register(**measured(0.7)))["number"])

    not_adjacent = await dry_run(door, number)
    (await door.move(number, "staging")).expect(200)
    without_endpoint = await dry_run(door, number)
    marks = await door.marks()
    no_such_move = await dry_run(door, number, "deprecated")

    assert not_adjacent["missing"] == ["risk 1 is in development and cannot move to production."]
    assert {each["to_stage"] for each in not_adjacent["possible"]} == {"staging", "archived"}
    assert without_endpoint["missing"] == [
        "The version needs a deployment in production whose health is not `unhealthy`."
    ]
    for preview in (not_adjacent, without_endpoint):
        assert [(each["gate"], each["passed"]) for each in preview["verdicts"]] == [("performance", False)]
        assert (preview["allowed"], preview["moves_champion"]) == (False, False)
    assert (no_such_move["allowed"], no_such_move["verdicts"], await door.marks()) == (False, [], marks)


async def test_a_version_no_worse_than_the_champion_may_follow_it(door: Door) -> None:
    await door.create()
    await demand(door, "production", {"gate": "no_worse_than_champion", "margin": 0.02})
    champion = await staged(door, 0.9)
    (await door.move(champion, "production")).expect(200)
    worse, near, elsewhere = [await staged(door, auc) for auc in (0.8, 0.89)] + [
        await staged(door, 0.95, on="holdout-8")
    ]

    assert (await door.move(worse, "production")).status == 409
    assert (await door.move(near, "production")).status == 200
    refused = await door.move(elsewhere, "production")

    assert refused.status == 409
    assert "other validation data" in refused.document["fix"]


async def test_readiness_and_compliance_look_at_what_is_recorded(door: Door) -> None:
    await door.create()
    await demand(door, "production", {"gate": "operational_readiness"}, {"gate": "compliance"})
    bare = await staged(door, 0.9)
    card = {"model_card": {"intended_use": "loans"}, "owner": "risk-team", "compliance_status": "Compliant"}
    ready = await staged(door, 0.9, **card)

    refused = await door.move(bare, "production")
    (await door.move(ready, "production")).expect(200)

    assert refused.status == 409
    assert all(word in refused.document["fix"] for word in ("model card", "owner", "compliance_status"))


async def test_gates_look_at_what_people_say_now_and_not_at_the_registration(door: Door) -> None:
    await door.create()
    ready = {"gate": "operational_readiness", "needs": ["model_card"]}
    scanned = {"gate": "security", "formats": ["unknown"], "scan_passed": True}
    await demand(door, "production", ready, {"gate": "tests_passed"}, scanned)
    number = await staged(door, 0.9, tags={"tests": "passed", "scan_result": "clean"})
    await check(door, number, kind="security_scan")
    card = {"model_card": {"intended_use": "loans"}}

    without = await door.move(number, "production")
    (await door.call("PATCH", f"{versions()}/{number}", card)).expect(200)
    untested = await door.move(number, "production")
    await check(door, number)

    assert [[each["passed"] for each in reply.document["verdicts"]] for reply in (without, untested)] == [
        [False, False, True],
        [True, False, True],
    ]
    assert (await door.move(number, "production")).status == 200


async def test_only_who_did_not_make_a_version_says_that_it_passed_its_checks(door: Door) -> None:
    await door.create()
    await demand(door, "staging", {"gate": "tests_passed"})
    await door.register(**measured(0.9, tags={"tests": "passed"}))
    other_digest = {"kind": "tests", "outcome": "passed", "digest": "sha256:" + "0" * 64}

    by_author = await check(door, 1, by="ann")
    by_scientist = await check(door, 1, by="fay")
    of_another = await replace(door, http=replace(door.http, token="bobs-token")).call(
        "POST", f"{versions()}/1/checks", other_digest
    )
    untested = await door.move(1, "staging")
    (await check(door, 1, by="cem")).expect(201)
    (await check(door, 1, outcome="failed")).expect(201)
    failed = await door.move(1, "staging")
    passed = await check(door, 1)
    moved = await door.move(1, "staging")

    assert [by_author.status, by_scientist.status, of_another.status] == [403, 403, 409]
    assert (untested.status, failed.status, moved.status) == (409, 409, 200)
    recorded = (await door.call("GET", f"{versions()}/1/checks")).expect(200)["items"]
    assert recorded[0] == passed.document
    assert [each["outcome"] for each in recorded] == ["passed", "failed", "passed"]
    entry = next(each for each in reversed(await door.audit()) if each["action"] == "model_version.checked")
    assert (entry["actor"], entry["after"]["outcome"], entry["digest"]) == ("bob", "passed", recorded[0]["digest"])


async def test_other_moves_can_have_gates_too(door: Door) -> None:
    await door.create()
    await demand(door, "staging", {"gate": "tests_passed"})
    await door.register(**measured(0.9))
    await door.register(**measured(0.9))
    await check(door, 2)

    assert (await door.move(1, "staging")).status == 409
    assert (await door.move(2, "staging")).status == 200


async def test_a_projects_table_replaces_the_default_one(door: Door) -> None:
    await door.create()
    moves = [("development", "canary"), ("canary", "production"), ("production", "development")]
    allowed = [{"from_stage": one, "to_stage": other} for one, other in moves]
    (await door.call("PUT", "/policies", {"allowed_moves": allowed})).expect(200)
    await door.register()

    refused = await door.move(1, "staging")
    without_endpoint = await door.move(1, "canary")
    await door.deploy(1)
    (await door.move(1, "canary")).expect(200)
    (await door.move(1, "production")).expect(200)
    champion = await door.move(1, "development")

    assert refused.status == 409
    assert [each["to_stage"] for each in refused.document["possible"]] == ["canary"]
    assert (without_endpoint.status, champion.status) == (409, 409)
    assert "deployment in production" in without_endpoint.document["fix"]
    assert "roll back" in champion.document["fix"]


async def test_a_model_may_demand_more_than_its_project(door: Door) -> None:
    await door.create("risk")
    await door.create("other", scope="industry", industry="retail")
    own = {"moves": [{"to_stage": "staging", "gates": [AUC_GATE]}]}
    (await door.call("PUT", "/registered-models/risk/policy", own)).expect(200)
    await door.register("risk")
    await door.register("other")

    assert (await door.move(1, "staging", name="risk")).status == 409
    assert (await door.move(1, "staging", name="other")).status == 200


async def test_in_which_stage_a_version_was_has_an_answer(door: Door) -> None:
    await door.create()
    before = door.clock.now
    await door.register()
    registered = door.clock.now
    (await door.move(1, "staging")).expect(200)
    path = f"{versions()}/1/stage"

    now = (await door.call("GET", path)).expect(200)
    then = (await door.call("GET", path, query={"at": registered.isoformat()})).expect(200)
    never = await door.call("GET", path, query={"at": before.isoformat()})

    assert (now["stage"], then["stage"], never.status) == ("staging", "development", 404)
    assert now["since"] > then["since"]


async def test_a_review_counts_when_a_reviewer_said_so(door: Door) -> None:
    await door.create()
    await demand(door, "staging", {"gate": "review_approved"})
    await door.register()

    refused = await door.move(1, "staging")
    (await door.call("PUT", f"{versions()}/1/review-status", {"review_status": "approved"})).expect(200)

    assert "pending_review" in refused.document["fix"]
    assert (await door.move(1, "staging")).status == 200
