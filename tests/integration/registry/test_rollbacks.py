"""Rollbacks over HTTP: who serves afterwards, and what they leave, alone and beside other changes."""

import asyncio

import pytest

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration


async def test_a_rollback_restores_the_previous_champion_and_deprecates_the_bad_one(door: Door) -> None:
    await door.create()
    good, bad = await door.promote(), await door.promote()
    (await door.move(good, "deprecated")).expect(200)
    before = len(await door.facts())

    answer = (await door.roll_back(bad, reason="it errs")).expect(200)

    assert (answer["replaced"], answer["restored"], answer["champion"]["number"]) == (bad, good, good)
    assert (await door.stage_of(good), await door.stage_of(bad)) == ("production", "deprecated")
    assert (await door.types_of_facts())[before:] == [
        "model_version.transitioned",
        "alias.moved",
        "model_version.transitioned",
        "model_version.rolled_back",
    ]
    assert (await door.actions())[-1] == "model_version.rolled_back"
    assert await door.champions_routed() == [("risk", good)]


async def test_a_second_rollback_goes_further_back_and_a_third_has_nothing_left(door: Door) -> None:
    await door.create()
    for _ in range(3):
        await door.promote()

    restored = [(await door.roll_back(bad, reason="it errs")).expect(200)["restored"] for bad in (3, 2)]
    nothing = await door.roll_back(1, reason="it errs")

    assert restored == [2, 1]
    assert nothing.status == 409
    assert nothing.document["type"] == "/problems/nothing-to-restore"
    assert await door.champion() == 1


async def test_a_rollback_skips_what_may_not_serve(door: Door) -> None:
    await door.create()
    for _ in range(4):
        await door.promote()
    (await door.call("PUT", f"{versions()}/3/quarantine", {"quarantined": True})).expect(200)
    for stage in ("deprecated", "archived"):
        (await door.move(2, stage)).expect(200)

    assert (await door.roll_back(4, reason="it errs")).expect(200)["restored"] == 1


async def test_rollbacks_at_once_take_one_champion_back(door: Door) -> None:
    await door.create()
    for _ in range(3):
        await door.promote()

    replies = await asyncio.gather(*(door.roll_back(3, reason="it errs") for _ in range(5)))

    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409]
    assert await door.champion() == 2


async def test_a_rollback_stops_the_experiment_that_the_bad_version_is_in(door: Door) -> None:
    await door.create()
    await door.promote()
    bad = await door.promote()
    await door.register()
    await door.deploy(3)
    for stage in ("staging", "canary"):
        (await door.move(3, stage)).expect(200)
    experiment = {
        "key": "try-3",
        "model_type": "risk_scoring",
        "treatment": {"model": "risk", "number": 3, "share_bp": 5000},
    }
    (await door.call("POST", "/experiments", experiment)).expect(201)

    (await door.roll_back(bad, reason="it errs")).expect(200)

    assert "experiment.stopped" in await door.types_of_facts()
    assert (await door.facts("routes.v1"))[-1]["event"]["experiments"] == []
    assert [fact["sequence"] for fact in await door.facts()] == list(range(1, len(await door.facts()) + 1))


async def test_rollbacks_and_experiments_that_end_at_once_do_not_block_each_other(door: Door) -> None:
    await door.create("everyone")
    await door.create("risk", scope="industry", industry="retail")
    await door.promote(name="everyone")
    await door.promote()

    for attempt in range(4):
        bad = await door.promote()
        experiment = {
            "key": f"try-{attempt}",
            "model_type": "risk_scoring",
            "industries": ["retail"],
            "treatment": {"model": "risk", "number": bad, "share_bp": 5000},
        }
        (await door.call("POST", "/experiments", experiment)).expect(201)
        stopped, rolled_back = await asyncio.gather(
            door.call("POST", f"/experiments/try-{attempt}/stop", {"reason": "enough"}),
            door.roll_back(bad, reason="it errs"),
        )
        rolled_back.expect(200)
        stopped.expect(200, 409)

    facts = await door.types_of_facts()
    assert facts.count("experiment.started") == facts.count("experiment.stopped") == 4
