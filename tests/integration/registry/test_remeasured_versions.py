"""Another primary metric, or direction: what versions improve on their parents is measured again, over HTTP."""

from typing import Any

import pytest

from tests.integration.registry.door import ENDPOINT, Document, Door, versions

pytestmark = pytest.mark.integration

RISK = "/registered-models/risk"


async def measured(door: Door, auc: float, rmse: float, *, name: str = "risk", parent: str | None = None) -> Document:
    """A version with both metrics; `parent` names version 1 of a model."""
    said: dict[str, Any] = {"metrics": {"auc": auc, "rmse": rmse}, "validation_data_version": "holdout-7"}
    if parent is not None:
        said["parent"] = {"model": parent, "number": 1}
    return await door.register(name, evidence=said)


async def improvement_of(door: Door, number: int) -> tuple[Any, Any]:
    version = (await door.call("GET", f"{versions()}/{number}")).expect(200)
    return version["improvement"], version["improvement_reason"]


async def test_versions_are_measured_again_by_the_metric_that_is_primary_now(door: Door) -> None:
    await door.create()
    await measured(door, 0.8, 4.0)
    await measured(door, 0.88, 5.0, parent="risk")
    seen = (await door.call("GET", f"{versions()}/2")).expect(200)

    (await door.call("PATCH", RISK, {"primary_metric": "rmse"})).expect(200)
    by_rmse = await improvement_of(door, 2)
    (await door.call("PATCH", RISK, {"higher_is_better": True})).expect(200)
    turned = await improvement_of(door, 2)
    (await door.call("PATCH", RISK, {"primary_metric": "f1_score"})).expect(200)
    unmeasured = await improvement_of(door, 2)

    told = [fact["event"] for fact in await door.facts() if fact["type"] == "registered_model.remeasured.v1"]
    late = await door.call("PATCH", f"{versions()}/2", {"description": "x"}, headers={"If-Match": '"1"'})
    assert seen["improvement"] == pytest.approx(0.1)
    assert by_rmse == (pytest.approx(-0.25), None)
    assert turned == (pytest.approx(0.25), None)
    assert (unmeasured[0], "no metric 'f1_score'" in str(unmeasured[1])) == (None, True)
    assert [[each["number"] for each in fact["improvements"]] for fact in told] == [[2], [2], [2]]
    assert (late.status, await improvement_of(door, 1)) == (412, (None, "The evidence names no parent."))


async def test_a_parent_that_was_renamed_is_still_the_parent(door: Door) -> None:
    await door.create("base")
    await measured(door, 0.8, 4.0, name="base")
    await door.create()
    await measured(door, 0.88, 5.0, parent="base")
    (await door.call("POST", "/registered-models/base/rename", {"name": "foundation"})).expect(200)

    (await door.call("PATCH", RISK, {"primary_metric": "rmse"})).expect(200)

    assert await improvement_of(door, 1) == (pytest.approx(-0.25), None)


async def test_the_route_goes_by_what_was_measured_again(door: Door) -> None:
    await door.create()
    await measured(door, 0.8, 4.0)
    await measured(door, 0.88, 5.0, parent="risk")
    path = f"{versions()}/2/deployments/production"
    (await door.call("PUT", path, {"url": ENDPOINT, "health": "healthy"})).expect(200)
    for stage in ("staging", "production"):
        (await door.move(2, stage)).expect(200)

    (await door.call("PATCH", RISK, {"primary_metric": "rmse"})).expect(200)

    [routed] = (await door.facts("routes.v1"))[-1]["event"]["versions"]
    assert routed["improvement"] == pytest.approx(-0.25)


async def test_a_change_of_nothing_that_is_measured_by_measures_nothing(door: Door) -> None:
    await door.create()
    await measured(door, 0.8, 4.0)
    await measured(door, 0.88, 5.0, parent="risk")

    (await door.call("PATCH", RISK, {"description": "new", "primary_metric": "auc"})).expect(200)

    assert (await door.types_of_facts())[-1] == "registered_model.updated"
    assert (await door.call("GET", f"{versions()}/2")).expect(200)["revision"] == 1
