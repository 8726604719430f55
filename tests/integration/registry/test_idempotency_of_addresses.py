"""A request is the same when its whole address, its If-Match and its body are: another with its key is refused."""

import pytest

from tests.integration.registry.door import Door

pytestmark = pytest.mark.integration


async def test_a_kill_switch_for_another_tenant_is_no_repetition(door: Door) -> None:
    await door.create()
    key = {"Idempotency-Key": f"{door.project}-incident"}
    path = "/routes/risk_scoring/kill-switch"
    body = {"reason": "incident 17"}
    (await door.call("PUT", f"{path}?tenant=acme", body, headers=key)).expect(200)

    other = await door.call("PUT", f"{path}?tenant=globex", body, headers=key)
    again = await door.call("PUT", f"{path}?tenant=acme", body, headers=key)

    assert other.expect(409)["type"].endswith("idempotency-key-reused")
    again.expect(200)


async def test_a_request_for_another_revision_is_no_repetition(door: Door) -> None:
    await door.create()
    key = {"Idempotency-Key": f"{door.project}-patch"}
    path, body = "/registered-models/risk", {"owner": "ann"}
    (await door.call("PATCH", path, body, headers={**key, "If-Match": '"1"'})).expect(200)

    other = await door.call("PATCH", path, body, headers={**key, "If-Match": '"2"'})

    assert other.expect(409)["type"].endswith("idempotency-key-reused")
    (await door.call("PATCH", path, body, headers={**key, "If-Match": '"1"'})).expect(200)


async def test_null_is_not_the_same_as_left_out(door: Door) -> None:
    await door.create(owner="ann", description="old")
    key = {"Idempotency-Key": f"{door.project}-null"}
    (await door.call("PATCH", "/registered-models/risk", {"owner": None}, headers=key)).expect(200)

    other = await door.call("PATCH", "/registered-models/risk", {"description": None}, headers=key)

    other.expect(409)


async def test_the_order_of_parameters_means_nothing(door: Door) -> None:
    await door.create()
    number = (await door.register())["number"]
    key = {"Idempotency-Key": f"{door.project}-order"}
    path = "/routes/risk_scoring/kill-switch"
    (await door.call("PUT", f"{path}?tenant=acme", {"reason": "x"}, headers=key)).expect(200)

    (await door.call("PUT", f"{path}?tenant=%61cme", {"reason": "x"}, headers=key)).expect(200)
    assert number == 1
