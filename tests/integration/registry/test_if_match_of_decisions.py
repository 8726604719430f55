"""`If-Match` on decisions about transition requests: nobody decides about what somebody else has decided meanwhile."""

import pytest

from tests.integration.registry.approvals_world import Guarded
from tests.integration.registry.door import Door
from tests.world.http_client import Reply

pytestmark = pytest.mark.integration


@pytest.fixture
async def guarded(door: Door) -> Guarded:
    """Moves to production need two approvals, and a command."""
    await door.create()
    guarded = Guarded(door=door)
    await guarded.demand(2, apply="on_command")
    return guarded


async def say(guarded: Guarded, verb: str, request_id: str, etag: str, *, actor: str) -> Reply:
    path = f"/transition-requests/{request_id}/{verb}"
    return await guarded.by(actor).call("POST", path, {}, headers={"If-Match": etag})


async def etag_of(guarded: Guarded, request_id: str) -> str:
    return str((await guarded.door.call("GET", f"/transition-requests/{request_id}")).etag)


@pytest.mark.parametrize(
    ("verb", "actor"), [("approve", "dee"), ("reject", "dee"), ("withdraw", "ann"), ("apply", "ann")]
)
async def test_a_decision_about_what_was_seen_before_anothers_is_refused_with_the_present_revision(
    guarded: Guarded, verb: str, actor: str
) -> None:
    request_id = await guarded.asked(await guarded.staged())
    seen = await etag_of(guarded, request_id)
    (await guarded.say("approve", request_id, actor="cem")).expect(200)
    if verb == "apply":
        (await guarded.say("approve", request_id, actor="bob")).expect(200)
    facts = await guarded.door.facts()

    late = await say(guarded, verb, request_id, seen, actor=actor)
    unchanged = await guarded.door.facts()
    present = f'"{late.document["revision"]}"'
    accepted = await say(guarded, verb, request_id, present, actor=actor)

    assert (late.status, late.document["type"], seen) == (412, "/problems/revision-changed", '"1"')
    assert (unchanged, present) == (facts, '"3"' if verb == "apply" else '"2"')
    assert accepted.status == 200
    assert accepted.etag == await etag_of(guarded, request_id)
    assert accepted.etag not in (seen, present)


async def test_a_decision_about_no_request_is_a_plain_404(guarded: Guarded) -> None:
    unknown = "00000000-0000-7000-8000-000000000000"

    reply = await say(guarded, "approve", unknown, '"1"', actor="cem")

    assert (reply.status, reply.is_problem) == (404, True)
