"""Which version a routing document names to answer when a champion's endpoint fails."""

import pytest

from tests.integration.registry.door import ENDPOINT, Document, Door, versions

pytestmark = pytest.mark.integration


async def route(door: Door) -> Document:
    document: Document = (await door.facts("routes.v1"))[-1]["event"]
    return document


async def former(door: Door) -> int | None:
    """The number of the only champion's former one, which the document holds with its endpoint."""
    document = await route(door)
    [champion] = document["champions"]
    number = champion["former"] and int(champion["former"]["number"])
    assert number is None or number in {each["number"] for each in document["versions"] if each["endpoint"]}
    return number


@pytest.fixture
async def succession(door: Door) -> Door:
    """Versions 1 to 3 were promoted one after the other; 3 is champion."""
    await door.create()
    for _ in range(3):
        await door.promote()
    return door


async def test_the_champion_before_the_champion_is_named_and_stays_so_when_it_is_deprecated(succession: Door) -> None:
    in_production = await former(succession)
    (await succession.move(2, "deprecated")).expect(200)
    deprecated = await former(succession)
    document = await route(succession)

    assert (in_production, deprecated) == (2, 2)
    assert {each["number"]: each["stage"] for each in document["versions"]} == {
        1: "production",
        2: "deprecated",
        3: "production",
    }


async def test_a_first_champion_has_nobody_before_it(door: Door) -> None:
    await door.create()
    await door.promote()

    assert await former(door) is None


async def test_after_a_rollback_the_champion_that_was_taken_back_is_not_fallen_back_to(succession: Door) -> None:
    (await succession.roll_back(3)).expect(200)

    assert (await succession.champion(), await former(succession)) == (2, 1)


@pytest.mark.parametrize("way", ["quarantine", "rejection", "archive"])
async def test_what_may_not_be_served_is_passed_over_for_the_one_before_it_at_once(succession: Door, way: str) -> None:
    (await succession.move(2, "deprecated")).expect(200)
    path = f"{versions()}/2"
    match way:
        case "quarantine":
            reply = await succession.call("PUT", f"{path}/quarantine", {"quarantined": True})
        case "rejection":
            reply = await succession.call("PUT", f"{path}/review-status", {"review_status": "rejected"})
        case _:
            reply = await succession.move(2, "archived")
    reply.expect(200)

    assert await former(succession) == 1


async def test_nobody_is_fallen_back_to_at_another_endpoint_than_the_one_that_was_agreed_to(succession: Door) -> None:
    ways = [("production", "staging"), ("staging", "deprecated"), ("staging", "production")]
    table = [{"from_stage": from_stage, "to_stage": to_stage} for from_stage, to_stage in ways]
    (await succession.call("PUT", "/policies", {"allowed_moves": table})).expect(200)
    (await succession.move(2, "staging")).expect(200)
    elsewhere = {"url": f"{ENDPOINT}/elsewhere", "health": "healthy"}
    (await succession.call("PUT", f"{versions()}/2/deployments/production", elsewhere)).expect(200)
    in_staging = await former(succession)
    (await succession.move(2, "deprecated")).expect(200)

    assert (in_staging, await former(succession)) == (1, None)
