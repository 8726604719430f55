"""Transition requests over HTTP: who agrees to what, and that exactly this is what happens."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from modelyard_registry.approvals.expiry import Expiry
from modelyard_registry.transactions import UnitOfWork
from modelyard_runtime.ids import new_uuid7

from tests.integration.registry.approvals_world import Guarded
from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration


@pytest.fixture
async def guarded(door: Door) -> Guarded:
    """A model whose moves to production need one approval."""
    await door.create()
    guarded = Guarded(door=door)
    await guarded.demand()
    return guarded


async def test_a_guarded_move_is_refused_and_the_refusal_says_where_to_ask(guarded: Guarded) -> None:
    number = await guarded.staged()

    refused = await guarded.door.move(number, "production")

    assert (refused.status, refused.document["type"]) == (409, "/problems/approval-required")
    assert refused.document["request_path"].endswith(f"/versions/{number}/transition-requests")
    assert refused.document["approvals"] == {"count": 1, "role": "approver"}
    assert await guarded.door.stage_of(number) == "staging"


async def test_the_last_approval_makes_the_move_and_everything_is_on_record(guarded: Guarded) -> None:
    await guarded.demand(2)
    number = await guarded.staged()
    request_id = await guarded.asked(number, reason="better by 5 %")

    first = (await guarded.say("approve", request_id, actor="cem", comment="measured again")).expect(200)
    between = await guarded.door.stage_of(number)
    last = (await guarded.say("approve", request_id, actor="dee")).expect(200)

    assert (first["state"], first["approvals_given"], between) == ("pending", 1, "staging")
    assert (last["state"], [each["actor"] for each in last["decisions"]]) == ("applied", ["cem", "dee"])
    assert (await guarded.door.stage_of(number), await guarded.door.champion()) == ("production", number)
    facts = await guarded.door.facts()
    assert [fact["type"].removesuffix(".v1") for fact in facts[-6:]] == [
        "transition_request.created",
        "approval.given",
        "approval.given",
        "model_version.transitioned",
        "alias.moved",
        "transition_request.ended",
    ]
    assert (facts[-3]["event"]["approved_by"], facts[-3]["event"]["request_id"]) == (["cem", "dee"], request_id)
    moved = next(
        each
        for each in await guarded.door.audit()
        if each["action"] == "model_version.transitioned" and each["after"]["stage"] == "production"
    )
    assert [(each["actor"], each["comment"]) for each in moved["after"]["approvals"]] == [
        ("cem", "measured again"),
        ("dee", None),
    ]
    [move, _] = (await guarded.door.call("GET", f"{versions()}/{number}/transitions")).expect(200)["items"]
    assert (move["request_id"], move["reason"]) == (request_id, "better by 5 %")


async def test_nobody_agrees_to_a_request_of_their_own(guarded: Guarded) -> None:
    request_id = await guarded.asked(await guarded.staged())

    refusals = [await guarded.say(verb, request_id, actor="ann") for verb in ("approve", "reject")]

    assert [reply.status for reply in refusals] == [403, 403]
    assert await guarded.state(request_id) == "pending"
    assert (await guarded.door.actions())[-2:] == ["approval.given.refused", "transition_request.rejected.refused"]


async def test_only_people_with_the_role_decide(guarded: Guarded) -> None:
    await guarded.demand(1, approvals={"count": 1, "role": "auditor"})
    request_id = await guarded.asked(await guarded.staged())

    without_role = await guarded.say("approve", request_id, actor="cem")
    without_permission = await guarded.say("approve", request_id, actor="eve")

    assert (without_role.status, without_role.document["role"]) == (403, "auditor")
    assert without_permission.status == 403
    assert await guarded.state(request_id) == "pending"


async def test_one_person_counts_once(guarded: Guarded) -> None:
    await guarded.demand(2)
    request_id = await guarded.asked(await guarded.staged())

    (await guarded.say("approve", request_id, actor="cem")).expect(200)
    replayed = [await guarded.say(verb, request_id, actor="cem") for verb in ("approve", "reject")]

    assert [reply.status for reply in replayed] == [409, 409]
    assert await guarded.state(request_id) == "pending"


async def test_one_rejection_ends_the_request_and_another_can_be_made(guarded: Guarded) -> None:
    number = await guarded.staged()
    request_id = await guarded.asked(number)

    rejected = (await guarded.say("reject", request_id, actor="cem", comment="biased")).expect(200)
    late = await guarded.say("approve", request_id, actor="dee")

    assert (rejected["state"], rejected["ended_by"], rejected["end_comment"]) == ("rejected", "cem", "biased")
    assert (late.status, late.document["state"]) == (409, "rejected")
    assert await guarded.door.stage_of(number) == "staging"
    assert (await guarded.ask(number)).status == 201


async def test_only_the_requester_withdraws(guarded: Guarded) -> None:
    request_id = await guarded.asked(await guarded.staged())

    other = await guarded.say("withdraw", request_id, actor="bob")
    own = await guarded.say("withdraw", request_id, actor="ann", comment="not yet")

    assert (other.status, own.status) == (403, 200)
    assert own.document["state"] == "withdrawn"


async def test_a_request_expires_and_a_round_writes_it_down(guarded: Guarded) -> None:
    await guarded.demand(1, expiry_hours=1)
    number = await guarded.staged()
    request_id = await guarded.asked(number)
    clock = guarded.door.clock
    clock.now += timedelta(hours=2)
    try:
        late = await guarded.say("approve", request_id, actor="cem")
        listed = (await guarded.door.call("GET", "/transition-requests", query={"state": "expired"})).expect(200)
        unit_of_work = UnitOfWork(guarded.door.database, clock=clock, new_id=new_uuid7, wake=lambda: None)
        expiry = Expiry(guarded.door.database, unit_of_work=unit_of_work, clock=clock)
        ended = [await expiry.expire_due(), await expiry.expire_due()]
    finally:
        clock.now -= timedelta(hours=2)

    assert (late.status, late.document["state"]) == (409, "expired")
    assert [each["request_id"] for each in listed["items"]] == [request_id]
    assert (ended[0] >= 1, ended[1]) == (True, 0)
    assert (await guarded.door.facts())[-1]["event"]["state"] == "expired"
    assert (await guarded.door.audit())[-1]["actor"] == "registry"


async def test_a_move_is_asked_for_once(guarded: Guarded) -> None:
    number = await guarded.staged()

    replies = await asyncio.gather(*(guarded.ask(number, actor=actor) for actor in ("ann", "bob", "ann", "bob")))

    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409]
    assert len({reply.document["request_id"] for reply in replies}) == 1


async def test_of_last_approvals_that_arrive_at_once_one_makes_the_move(guarded: Guarded) -> None:
    number = await guarded.staged()
    request_id = await guarded.asked(number)

    replies = await asyncio.gather(
        *(guarded.say("approve", request_id, actor=actor) for actor in ("bob", "cem", "dee"))
    )

    assert sorted(reply.status for reply in replies) == [200, 409, 409]
    assert (await guarded.door.types_of_facts()).count("alias.moved") == 1
    assert await guarded.door.champion() == number


async def test_on_command_the_move_waits_for_its_command(guarded: Guarded) -> None:
    await guarded.demand(1, apply="on_command")
    number = await guarded.staged()
    request_id = await guarded.asked(number)

    early = await guarded.say("apply", request_id, actor="ann")
    approved = (await guarded.say("approve", request_id, actor="cem")).expect(200)
    waiting = await guarded.door.stage_of(number)
    replies = await asyncio.gather(*(guarded.say("apply", request_id, actor=actor) for actor in ("ann", "bob")))

    assert (early.status, early.document["type"]) == (409, "/problems/approvals-missing")
    assert (approved["state"], waiting) == ("approved", "staging")
    assert sorted(reply.status for reply in replies) == [200, 409]
    assert await guarded.door.stage_of(number) == "production"


async def test_a_request_for_a_move_that_needs_none_or_cannot_be_made_is_refused(guarded: Guarded) -> None:
    number = int((await guarded.door.register())["number"])
    path = f"{versions()}/{number}/transition-requests"

    unguarded = await guarded.door.call("POST", path, {"to_stage": "staging"})
    impossible = await guarded.door.call("POST", path, {"to_stage": "production"})
    unknown = await guarded.door.call("POST", path, {"to_stage": "heaven"})

    assert (unguarded.status, impossible.status, unknown.status) == (409, 409, 422)
    assert unguarded.document["type"] == "/problems/approval-not-needed"


async def test_requests_are_listed_newest_first_and_filtered(guarded: Guarded) -> None:
    numbers = [await guarded.staged() for _ in range(3)]
    ids = [await guarded.asked(number) for number in numbers]
    (await guarded.say("reject", ids[1], actor="cem")).expect(200)

    async def listed(**query: str) -> list[str]:
        found = (await guarded.door.call("GET", "/transition-requests", query=query)).expect(200)
        return [each["request_id"] for each in found["items"]]

    assert await listed() == ids[::-1]
    assert await listed(state="pending") == [ids[2], ids[0]]
    assert await listed(number=str(numbers[1]), model="risk") == [ids[1]]
    assert await listed(requested_by="bob") == []
    assert await listed(to_stage="canary") == []
    page = (await guarded.door.call("GET", "/transition-requests", query={"page_size": "2"})).expect(200)
    assert await listed(page_token=page["next_page_token"]) == ids[:1]


async def test_another_projects_request_is_out_of_reach(guarded: Guarded) -> None:
    request_id = await guarded.asked(await guarded.staged())
    elsewhere = Guarded(door=await guarded.door.beside())

    replies = [
        await elsewhere.say(verb, request_id, actor="bob") for verb in ("approve", "reject", "withdraw", "apply")
    ]

    assert {reply.status for reply in replies} == {404}
    assert await guarded.state(request_id) == "pending"


async def test_an_approver_whose_role_was_taken_away_no_longer_counts(guarded: Guarded) -> None:
    await guarded.demand(1, apply="on_command")
    number = await guarded.staged()
    request_id = await guarded.asked(number)
    body = {
        "actor": "kim",
        "project": guarded.door.project,
        "roles": ["approver"],
        "expires_at": (guarded.door.clock.now + timedelta(days=1)).isoformat(),
    }
    issued = (await guarded.by("bob").http.call("POST", "/api/v1/access/tokens", body)).expect(201)
    kim = replace(guarded.door, http=replace(guarded.door.http, token=issued["token"]))
    (await kim.call("POST", f"/transition-requests/{request_id}/approve", {})).expect(200)
    (await guarded.door.http.call("DELETE", f"/api/v1/access/tokens/{issued['token_id']}")).expect(200, 204)

    refused = await guarded.say("apply", request_id, actor="ann")
    (await guarded.say("approve", request_id, actor="cem")).expect(200)
    applied = await guarded.say("apply", request_id, actor="ann")

    assert (refused.status, refused.document["lapsed"]) == (409, [f"{guarded.door.project}/kim"])
    assert applied.expect(200)["state"] == "applied"
    transitioned = [each["event"] for each in await guarded.door.facts() if each["type"].startswith("model_version.tr")]
    assert transitioned[-1]["approved_by"] == ["cem"]
