"""When a promotion moves the champion, over HTTP: always, never, or when the version is better."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.registry.door import Document, Door, versions
from tests.world.http_client import Reply

pytestmark = pytest.mark.integration


async def set_policy(door: Door, champion: str) -> None:
    (await door.call("PUT", "/policies", {"champion": champion})).expect(200)


async def promoted(door: Door, auc: float | None = None, *, on: str = "holdout-7", name: str = "risk") -> int:
    """A version in production; answers its number."""
    metrics = {} if auc is None else {"auc": auc}
    evidence: Document = {"metrics": metrics, "validation_data_version": on}
    number = int((await door.register(name, evidence=evidence))["number"])
    await door.deploy(number, name=name)
    (await door.move(number, "staging", name=name)).expect(200)
    (await door.move(number, "production", name=name)).expect(200)
    return number


async def appoint(door: Door, number: int, replaces: int | None, *, name: str = "risk", **facts: Any) -> Reply:
    path = f"/registered-models/{name}/champion"
    return await door.call("POST", path, {"number": number, "replaces": replaces, **facts})


async def test_under_manual_a_promotion_leaves_the_champion_and_people_point(door: Door) -> None:
    await door.create()
    await set_policy(door, "manual")
    first, second = await promoted(door), await promoted(door)

    assert await door.champion() is None
    (await appoint(door, first, None)).expect(200)
    (await appoint(door, second, first, reason="it is time")).expect(200)

    assert await door.champion() == second
    [champion] = (await door.facts("routes.v1"))[-1]["event"]["champions"]
    assert champion["number"] == second
    assert (await door.audit())[-1]["reason"] == "it is time"
    rolled_back = await door.roll_back(second)
    assert rolled_back.expect(200)["restored"] == first


async def test_of_people_who_point_at_once_one_wins(door: Door) -> None:
    await door.create()
    await set_policy(door, "manual")
    numbers = [await promoted(door) for _ in range(4)]

    replies = await asyncio.gather(*(appoint(door, number, None) for number in numbers))

    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409]


async def test_only_what_may_serve_is_made_champion_by_hand(door: Door) -> None:
    await door.create()
    number = await promoted(door)
    automatic = await appoint(door, number, number + 1)
    await set_policy(door, "manual")
    second = await promoted(door)
    await door.register()

    stale = await appoint(door, second, None)
    unstaged = await appoint(door, 3, number)
    (await door.call("PUT", f"{versions()}/{second}/quarantine", {"quarantined": True})).expect(200)
    quarantined = await appoint(door, second, number)

    assert {reply.status for reply in (automatic, stale, unstaged, quarantined)} == {409}
    assert stale.document["champion"] == number
    assert "move it to production" in unstaged.document["fix"]
    assert await door.champion() == number
    assert (await door.actions())[-1] == "alias.moved.refused"


async def test_whom_nobody_agreed_to_is_made_champion_by_hand_only_once_others_have(door: Door) -> None:
    await door.create()
    await set_policy(door, "manual")
    older = await promoted(door)
    demand = {"moves": [{"to_stage": "production", "approvals": {"count": 1}}]}
    (await door.call("PUT", "/policies", {"champion": "manual", **demand})).expect(200)

    refused = await appoint(door, older, None)
    (await door.move(older, "deprecated")).expect(200)
    path = f"{versions()}/{older}/transition-requests"
    request = (await door.call("POST", path, {"to_stage": "production"})).expect(201)["request_id"]
    cem = replace(door, http=replace(door.http, token="cems-token"))
    (await cem.call("POST", f"/transition-requests/{request}/approve", {})).expect(200)
    agreed = await appoint(door, older, None)

    assert (refused.status, agreed.status) == (409, 200)
    assert "Nobody agreed" in refused.document["fix"]
    assert await door.champion() == older


async def test_under_automatic_policy_nobody_points(door: Door) -> None:
    await door.create()
    first = await promoted(door)
    second = await promoted(door)

    refused = await appoint(door, first, second)

    assert refused.status == 409
    assert "manual" in refused.document["fix"]
    assert await door.champion() == second


async def test_a_slot_that_another_model_holds_is_taken_by_name_only(door: Door) -> None:
    await door.create("old")
    await door.create("new")
    await set_policy(door, "manual")
    old, new = await promoted(door, name="old"), await promoted(door, name="new")
    (await appoint(door, old, None, name="old")).expect(200)

    refused = await appoint(door, new, None, name="new")
    taken = await appoint(door, new, None, name="new", replaces_model="old")

    assert (refused.status, taken.status) == (409, 200)
    assert (await door.champion("old"), await door.champion("new")) == (None, new)


async def test_under_if_better_the_champion_moves_to_the_better_version_only(door: Door) -> None:
    await door.create()
    await set_policy(door, "if_better")

    first = await promoted(door, 0.8)
    champions = [await door.champion()]
    for auc, on in ((0.7, "holdout-7"), (0.8, "holdout-7"), (0.99, "holdout-8"), (None, "holdout-7")):
        await promoted(door, auc, on=on)
        champions.append(await door.champion())
    better = await promoted(door, 0.9)

    assert champions == [first] * 5
    assert await door.champion() == better
    assert await door.stage_of(2) == "production"


async def test_better_means_less_where_less_is_better(door: Door) -> None:
    await door.create(higher_is_better=False)
    await set_policy(door, "if_better")

    first = await promoted(door, 0.8)
    await promoted(door, 0.9)
    assert await door.champion() == first
    better = await promoted(door, 0.7)

    assert await door.champion() == better
