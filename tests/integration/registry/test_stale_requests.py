"""What approvers and those who ask see of a request that nobody can agree to any more, and how it is asked anew."""

from datetime import timedelta

import pytest
from modelyard_registry.approvals import listing

from tests.integration.registry.approvals_world import Guarded
from tests.integration.registry.door import ENDPOINT, Document, Door, versions

pytestmark = pytest.mark.integration


@pytest.fixture
async def guarded(door: Door) -> Guarded:
    """A model with a champion; from now on moves to production need one approval."""
    await door.create()
    await door.promote()
    guarded = Guarded(door=door)
    await guarded.demand(1)
    return guarded


async def describe(guarded: Guarded, number: int, text: str | None) -> None:
    (await guarded.door.call("PATCH", f"{versions()}/{number}", {"description": text})).expect(200)


async def listed(guarded: Guarded, **query: str) -> dict[str, Document]:
    found = (await guarded.door.call("GET", "/transition-requests", query=query)).expect(200)["items"]
    return {each["request_id"]: each for each in found}


async def got(guarded: Guarded, request_id: str) -> Document:
    document: Document = (await guarded.door.call("GET", f"/transition-requests/{request_id}")).expect(200)
    return document


async def test_every_list_says_which_requests_are_stale_and_because_of_what(guarded: Guarded) -> None:
    stale, sound = await guarded.staged(), await guarded.staged()
    changed, same = await guarded.asked(stale), await guarded.asked(sound)
    await describe(guarded, stale, "other words")
    path = f"{versions()}/{stale}/deployments/production"
    (await guarded.door.call("PUT", path, {"url": f"{ENDPOINT}/moved", "health": "healthy"})).expect(200)

    one, both = await got(guarded, changed), await listed(guarded, state="pending")

    assert (one["is_stale"], both[changed]["is_stale"], both[same]["is_stale"]) == (True, True, False)
    assert one["changed"] == both[changed]["changed"]
    assert both[same]["changed"] == []
    assert {each["name"] for each in one["changed"]} == {"description", "endpoint_url", "endpoint_revision"}
    words = {each["name"]: each["words"] for each in one["changed"]}
    assert words["description"] == "the description was added"
    assert words["endpoint_url"] == f"the endpoint's URL was {ENDPOINT}/risk/{stale} and is {ENDPOINT}/moved now"


async def test_a_new_champion_or_policy_makes_all_open_requests_stale(guarded: Guarded) -> None:
    first, second = await guarded.staged(), await guarded.staged()
    asked, other = await guarded.asked(first), await guarded.asked(second)
    (await guarded.say("approve", asked, actor="cem")).expect(200)
    by_champion = await got(guarded, other)
    await guarded.demand(1, expiry_hours=5)
    by_policy = await got(guarded, other)

    assert [each["words"] for each in by_champion["changed"]] == ["the champion was risk/1 and is risk/2 now"]
    assert {each["name"] for each in by_policy["changed"]} == {"champion", "project_policy_revision"}
    assert (await got(guarded, asked))["is_stale"] is False


async def test_what_is_as_it_was_again_can_be_agreed_to_again(guarded: Guarded) -> None:
    number = await guarded.staged()
    request_id = await guarded.asked(number)
    await describe(guarded, number, "other words")
    refused = await guarded.say("approve", request_id, actor="cem")
    await describe(guarded, number, None)

    agreed = await guarded.say("approve", request_id, actor="cem")

    assert (refused.status, refused.document["type"]) == (409, "/problems/request-stale")
    assert "the description was added" in refused.document["detail"]
    assert (agreed.status, agreed.document["state"], agreed.document["is_stale"]) == (200, "applied", False)


async def test_the_same_person_asks_anew_which_ends_the_stale_request(guarded: Guarded) -> None:
    number = await guarded.staged()
    first = await guarded.asked(number)
    twice = await guarded.ask(number)
    await describe(guarded, number, "other words")

    by_another = await guarded.ask(number, actor="bob")
    second = await guarded.asked(number)

    ended = await got(guarded, first)
    assert (twice.status, by_another.status) == (409, 409)
    assert "That request is stale: the description was added." in by_another.document["detail"]
    assert (ended["state"], ended["end_comment"]) == (
        "withdrawn",
        "Asked for anew, because the description was added.",
    )
    assert (await guarded.say("approve", second, actor="cem")).expect(200)["state"] == "applied"


async def test_an_artifact_attached_afterwards_is_not_what_was_agreed_to(guarded: Guarded) -> None:
    number = await guarded.staged()
    request_id = await guarded.asked(number)
    digest = await guarded.door.upload(b"a tokenizer")
    (await guarded.door.call("PUT", f"{versions()}/{number}/artifacts/tokenizer", {"digest": digest})).expect(201)

    refused = await guarded.say("approve", request_id, actor="cem")

    assert (refused.status, refused.document["type"]) == (409, "/problems/request-stale")
    assert "the further artifact 'tokenizer' was added" in refused.document["detail"]
    assert refused.document["changed"]["artifacts.tokenizer"]["now"] == digest
    assert await guarded.door.stage_of(number) == "staging"


async def test_a_data_scientist_asks_for_what_others_must_agree_to_and_cannot_make_it(guarded: Guarded) -> None:
    scientist = Guarded(door=guarded.by("fay"))
    number = await guarded.staged()
    endpoint = {"url": f"{ENDPOINT}/moved", "health": "healthy"}

    alone = await scientist.door.move(number, "production")
    asked = await scientist.door.call(
        "POST", f"{versions()}/{number}/transition-requests", {"to_stage": "production", "reason": "it errs less"}
    )
    elsewhere = await scientist.door.call("POST", f"{versions()}/1/deployments/production/requests", endpoint)
    withdrawn = await scientist.door.call(
        "POST", f"/transition-requests/{elsewhere.expect(201)['request_id']}/withdraw", {}
    )
    own = await scientist.door.call("POST", f"/transition-requests/{asked.expect(201)['request_id']}/approve", {})
    agreed = await guarded.say("approve", asked.document["request_id"], actor="cem")

    assert (alone.status, own.status) == (403, 403)
    assert alone.document["permission"] == "versions:transition"
    assert (asked.document["requested_by"], withdrawn.expect(200)["state"]) == ("fay", "withdrawn")
    assert agreed.expect(200)["state"] == "applied"
    assert await guarded.door.champion() == number


async def test_a_viewer_does_not_ask(guarded: Guarded) -> None:
    number = await guarded.staged()

    refused = await guarded.ask(number, actor="eve")

    assert (refused.status, refused.document["permission"]) == (403, "versions:request-transition")


async def test_how_a_request_expires_can_be_tried_in_a_minute(guarded: Guarded) -> None:
    await guarded.demand(1, expiry_hours=0.0167)
    number = await guarded.staged()
    request_id = await guarded.asked(number)
    before = await guarded.state(request_id)
    guarded.door.clock.now += timedelta(minutes=1)
    less = await guarded.door.call("PUT", "/policies", {"moves": [{"to_stage": "production", "expiry_hours": 0.0165}]})

    assert (before, await guarded.state(request_id)) == ("pending", "expired")
    assert (less.status, less.is_problem) == (422, True)


async def test_refused_and_given_approvals_are_found_under_the_same_subject(guarded: Guarded) -> None:
    number = await guarded.staged()
    request_id = await guarded.asked(number)

    (await guarded.say("approve", request_id, actor="ann")).expect(403)
    (await guarded.say("approve", request_id, actor="cem")).expect(200)

    subject = f"registered-models/risk/versions/{number}/transition-requests/{request_id}"
    actions = [entry["action"] for entry in await guarded.door.audit() if entry["subject"] == subject]
    assert actions == [
        "transition_request.created",
        "approval.given.refused",
        "approval.given",
        "transition_request.applied",
    ]


async def check(guarded: Guarded, number: int, outcome: str, *, kind: str = "tests") -> None:
    digest = (await guarded.door.call("GET", f"{versions()}/{number}")).expect(200)["digest"]
    body = {"kind": kind, "outcome": outcome, "digest": digest}
    (await guarded.by("bob").call("POST", f"{versions()}/{number}/checks", body)).expect(201)


async def test_a_check_that_fails_after_people_were_asked_makes_the_request_stale(guarded: Guarded) -> None:
    number = await guarded.staged()
    await check(guarded, number, "passed")
    request_id = await guarded.asked(number)
    await check(guarded, number, "passed")
    await check(guarded, number, "passed", kind="security_scan")
    before = await got(guarded, request_id)
    await check(guarded, number, "failed")

    refused = await guarded.say("approve", request_id, actor="cem")
    after = await got(guarded, request_id)
    await check(guarded, number, "passed")
    agreed = await guarded.say("approve", request_id, actor="cem")

    assert (before["is_stale"], before["bound"]["checks"]) == (False, {"tests": "passed"})
    assert (refused.status, refused.document["type"]) == (409, "/problems/request-stale")
    assert [(each["name"], each["then"], each["now"]) for each in after["changed"]] == [
        ("checks.tests", "passed", "failed")
    ]
    assert (agreed.status, agreed.document["state"]) == (200, "applied")


async def test_requests_are_listed_by_whether_they_are_stale(guarded: Guarded) -> None:
    numbers = [await guarded.staged() for _ in range(4)]
    asked = [await guarded.asked(number) for number in numbers]
    for number in (numbers[0], numbers[3]):
        await describe(guarded, number, "other words")
    (await guarded.say("reject", asked[0], actor="cem")).expect(200)

    assert list(await listed(guarded, stale="true")) == [asked[3]]
    assert list(await listed(guarded, stale="false")) == [asked[2], asked[1], asked[0]]
    assert list(await listed(guarded, stale="false", state="pending")) == [asked[2], asked[1]]
    assert list(await listed(guarded, stale="true", number=str(numbers[1]))) == []
    assert (await guarded.door.call("GET", "/transition-requests", query={"stale": "maybe"})).status == 422


async def test_stale_requests_are_listed_in_pages_and_in_bounded_batches(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [await guarded.staged() for _ in range(5)]
    asked = [await guarded.asked(number) for number in numbers]
    for number in numbers[:3]:
        await describe(guarded, number, "other words")
    monkeypatch.setattr(listing, "BATCH_ROWS", 1)
    monkeypatch.setattr(listing, "BATCHES_MAX", 2)

    seen, query = [], {"stale": "true", "page_size": "2"}
    while True:
        page = (await guarded.door.call("GET", "/transition-requests", query=query)).expect(200)
        seen.append([each["request_id"] for each in page["items"]])
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]

    assert [each for page in seen for each in page] == [asked[2], asked[1], asked[0]]
    assert seen[0] == [], "two batches held sound requests only"
    assert all(len(page) <= 2 for page in seen)
