"""Semantic versions over HTTP: what they promise to callers is held against the features."""

from typing import Any

import pytest

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration

ONE = [{"name": "income", "datatype": "FP64"}]
TWO = [*ONE, {"name": "age", "datatype": "INT64"}]
RETYPED = [{"name": "income", "datatype": "FP32"}]


def declaring(features: list[dict[str, str]], **how: object) -> dict[str, Any]:
    return {"evidence": {"feature_schema": features}, **how}


@pytest.mark.parametrize(
    ("before", "after", "how", "smallest"),
    [
        (ONE, TWO, {"change_type": "patch"}, "minor"),
        (ONE, TWO, {"semver": "1.0.1"}, "minor"),
        (TWO, ONE, {"change_type": "minor"}, "major"),
        (TWO, ONE, {"semver": "1.7.0"}, "major"),
        (ONE, RETYPED, {"change_type": "patch"}, "major"),
    ],
)
async def test_a_step_that_is_too_small_is_refused_with_the_difference(
    door: Door, before: list[dict[str, str]], after: list[dict[str, str]], how: dict[str, object], smallest: str
) -> None:
    await door.create()
    digest = (await door.register(**declaring(before)))["digest"]

    reply = await door.call("POST", versions(), {"digest": digest, **declaring(after, **how)})

    accepted = await door.register(**declaring(after, change_type=smallest))
    assert reply.status == 409
    assert reply.is_problem
    assert reply.document["difference"]["demands"] == smallest
    assert reply.document["against"] == {"number": 1, "semver": "1.0.0"}
    assert (await door.actions())[-2:] == ["model_version.registered.refused", "model_version.registered"]
    assert accepted["number"] == 2


async def test_who_names_no_step_gets_the_smallest_honest_one(door: Door) -> None:
    await door.create()

    semvers = [(await door.register(**declaring(schema)))["semver"] for schema in (ONE, TWO, ONE, ONE, RETYPED)]

    assert semvers == ["1.0.0", "1.1.0", "2.0.0", "2.1.0", "3.0.0"]


async def test_a_backport_is_held_against_the_version_below_it(door: Door) -> None:
    await door.create()
    await door.register(**declaring(ONE, semver="1.0.0"))
    await door.register(**declaring(RETYPED, semver="2.0.0"))
    digest = await door.upload()

    backport = await door.register(**declaring(TWO, semver="1.1.0"))
    refused = await door.call("POST", versions(), {"digest": digest, **declaring(RETYPED, semver="1.2.0")})

    latest = (await door.call("GET", f"{versions()}/latest")).expect(200)
    assert (backport["number"], latest["semver"]) == (3, "1.1.0")
    assert refused.document["against"] == {"number": 3, "semver": "1.1.0"}


async def test_a_version_that_declares_nothing_does_not_hide_the_features_below_it(door: Door) -> None:
    await door.create()
    digest = (await door.register(**declaring(TWO)))["digest"]
    await door.register(change_type="patch")

    reply = await door.call("POST", versions(), {"digest": digest, **declaring(ONE, change_type="patch")})

    assert (reply.status, reply.document["against"]["semver"]) == (409, "1.0.0")


async def test_the_same_run_again_is_answered_however_the_features_have_gone_on(door: Door) -> None:
    await door.create()
    first = await door.register(**declaring(ONE, run_id="run-1", change_type="patch"))
    await door.register(**declaring(TWO))
    document = {"digest": first["digest"], **declaring(ONE, run_id="run-1", change_type="patch")}

    again = (await door.call("POST", versions(), document)).expect(200)

    assert again == first
