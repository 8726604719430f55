"""What was approved is what is promoted, over HTTP: whatever changes after the request was made ends its force."""

from collections.abc import Awaitable, Callable

import pytest

from tests.integration.registry.approvals_world import Guarded
from tests.integration.registry.door import ENDPOINT, Door, versions

pytestmark = pytest.mark.integration

Change = Callable[[Guarded, int], Awaitable[None]]


@pytest.fixture
async def guarded(door: Door) -> Guarded:
    """A model with a champion; from now on moves to production need one approval, and a command."""
    await door.create()
    await door.promote()
    guarded = Guarded(door=door)
    await guarded.demand(1, apply="on_command")
    return guarded


async def move_the_endpoint(guarded: Guarded, number: int) -> None:
    path = f"{versions()}/{number}/deployments/production"
    (await guarded.door.call("PUT", path, {"url": f"{ENDPOINT}/elsewhere", "health": "healthy"})).expect(200)


async def change_the_evidence(guarded: Guarded, number: int) -> None:
    async with guarded.door.database.acquire() as connection:
        await connection.execute(
            "UPDATE model_versions v SET evidence = jsonb_set(evidence, '{metrics}', '{\"auc\": 1.0}')"
            " FROM registered_models m WHERE m.id = v.registered_model_id AND m.project = $1 AND v.number = $2",
            guarded.door.project,
            number,
        )


async def swap_the_artifact(guarded: Guarded, number: int) -> None:
    async with guarded.door.database.acquire() as connection:
        await connection.execute(
            "UPDATE model_versions v SET digest = $3"
            " FROM registered_models m WHERE m.id = v.registered_model_id AND m.project = $1 AND v.number = $2",
            guarded.door.project,
            number,
            "sha256:" + "0" * 64,
        )


async def change_the_policy(guarded: Guarded, number: int) -> None:
    await guarded.demand(1, apply="on_command", expiry_hours=5)


async def change_the_models_policy(guarded: Guarded, number: int) -> None:
    (await guarded.door.call("PUT", "/registered-models/risk/policy", {"champion": "auto"})).expect(200)


async def change_the_champion(guarded: Guarded, number: int) -> None:
    other = await guarded.staged()
    request_id = await guarded.asked(other)
    (await guarded.say("approve", request_id, actor="cem")).expect(200)
    (await guarded.say("apply", request_id, actor="ann")).expect(200)


async def change_the_stage(guarded: Guarded, number: int) -> None:
    for stage in ("development",):
        (await guarded.door.move(number, stage)).expect(200)


async def change_the_model_card(guarded: Guarded, number: int) -> None:
    patch = {"model_card": {"limitations": ["None that anybody knows of."]}}
    (await guarded.door.call("PATCH", f"{versions()}/{number}", patch)).expect(200)


async def change_the_description(guarded: Guarded, number: int) -> None:
    (await guarded.door.call("PATCH", f"{versions()}/{number}", {"description": "another"})).expect(200)


async def attach_an_artifact(guarded: Guarded, number: int) -> None:
    digest = await guarded.door.upload(b"a tokenizer")
    (await guarded.door.call("PUT", f"{versions()}/{number}/artifacts/tokenizer", {"digest": digest})).expect(201)


CHANGES = [
    (change_the_model_card, {"model_card"}),
    (change_the_description, {"description"}),
    (attach_an_artifact, {"artifacts.tokenizer"}),
    (move_the_endpoint, {"endpoint_url", "endpoint_revision"}),
    (change_the_evidence, {"evidence_sha256"}),
    (swap_the_artifact, {"digest"}),
    (change_the_policy, {"project_policy_revision"}),
    (change_the_models_policy, {"model_policy_revision"}),
    (change_the_champion, {"champion"}),
    (change_the_stage, {"stage"}),
]


@pytest.mark.parametrize(("change", "changed"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
async def test_what_changed_after_the_request_is_named_and_nothing_is_promoted(
    guarded: Guarded, change: Change, changed: set[str]
) -> None:
    number = await guarded.staged()
    request_id = await guarded.asked(number)
    (await guarded.say("approve", request_id, actor="cem")).expect(200)
    await change(guarded, number)

    late = await guarded.say("approve", request_id, actor="dee")
    applied = await guarded.say("apply", request_id, actor="ann")

    assert [(reply.status, reply.document["type"]) for reply in (late, applied)] == [
        (409, "/problems/request-stale"),
        (409, "/problems/request-stale"),
    ]
    assert set(applied.document["changed"]) == changed
    assert await guarded.door.stage_of(number) != "production"
    assert (await guarded.door.audit())[-1]["action"] == "transition_request.applied.refused"
    (await guarded.say("reject", request_id, actor="dee")).expect(200)


async def test_gates_are_judged_again_when_the_request_is_applied(guarded: Guarded) -> None:
    gate = {"gate": "operational_readiness", "needs": ["endpoint"]}
    await guarded.demand(1, apply="on_command", gates=[gate])
    number = await guarded.staged()
    request_id = await guarded.asked(number)
    (await guarded.say("approve", request_id, actor="cem")).expect(200)
    await guarded.door.deploy(number, health="unknown")

    refused = await guarded.say("apply", request_id, actor="ann")
    await guarded.door.deploy(number, health="healthy")
    applied = await guarded.say("apply", request_id, actor="ann")

    assert (refused.status, refused.document["type"]) == (409, "/problems/gates-failed")
    assert applied.expect(200)["state"] == "applied"


async def test_a_quarantine_stands_against_what_was_approved(guarded: Guarded) -> None:
    number = await guarded.staged()
    request_id = await guarded.asked(number)
    (await guarded.say("approve", request_id, actor="cem")).expect(200)
    (await guarded.door.call("PUT", f"{versions()}/{number}/quarantine", {"quarantined": True})).expect(200)

    refused = await guarded.say("apply", request_id, actor="ann")

    assert (refused.status, refused.document["type"]) == (409, "/problems/transition-refused")


async def test_an_approval_of_one_version_is_none_of_another(guarded: Guarded) -> None:
    one, other = await guarded.staged(), await guarded.staged()
    request_id = await guarded.asked(one)
    (await guarded.say("approve", request_id, actor="cem")).expect(200)

    assert (await guarded.door.move(other, "production")).status == 409
    assert (await guarded.door.move(one, "production")).status == 409
