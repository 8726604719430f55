"""Ways to give traffic to what nobody agreed to: each is refused, and traffic stays where it was."""

from dataclasses import dataclass, replace

import pytest

from tests.integration.registry.approvals_world import Guarded
from tests.integration.registry.door import ENDPOINT, Document, Door, versions
from tests.integration.registry.test_access_tokens import a_holder
from tests.world.http_client import Reply

pytestmark = pytest.mark.integration

ELSEWHERE: Document = {"url": f"{ENDPOINT}/of-an-attacker", "health": "healthy"}
GUARDS: Document = {"moves": [{"to_stage": stage, "approvals": {"count": 1}} for stage in ("canary", "production")]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """A project with a champion, a former champion and a version in canary; policy guards canary and production."""

    door: Door

    async def holder(self, *roles: str, scopes: list[str] | None = None) -> Door:
        """The door as somebody with these roles sees it."""
        actor = f"attacker-{self.door.project}"
        facts = {} if scopes is None else {"scopes": scopes}
        return replace(self.door, http=await a_holder(self.door, actor=actor, roles=list(roles), **facts))

    async def routed(self) -> dict[str, str | None]:
        """The URL of every version that the newest routing document holds."""
        document = (await self.door.facts("routes.v1"))[-1]["event"]
        return {f"{v['model']}/{v['number']}": (v["endpoint"] or {}).get("url") for v in document["versions"]}


@pytest.fixture
async def attacked(door: Door) -> Attacked:
    """Version 1 was champion and is deprecated, 2 is champion, 3 is in canary, 4 in staging."""
    await door.create()
    for _ in range(2):
        await door.promote()
    (await door.move(1, "deprecated")).expect(200)
    for number in (3, 4):
        await door.register()
        await door.deploy(number)
        (await door.move(number, "staging")).expect(200)
    (await door.move(3, "canary")).expect(200)
    (await door.call("PUT", "/policies", GUARDS)).expect(200)
    return Attacked(door=door)


async def put(door: Door, number: int, **facts: object) -> Reply:
    path = f"{versions()}/{number}/deployments/production"
    return await door.call("PUT", path, {**ELSEWHERE, **facts})


async def start(door: Door, number: int, **facts: object) -> Reply:
    treatment = {"model": "risk", "number": number, "share_bp": 9_999}
    document = {"key": f"exp-{number}", "model_type": "risk_scoring", "treatment": treatment, **facts}
    return await door.call("POST", "/experiments", document)


@pytest.mark.parametrize("number", [1, 2, 3], ids=["former champion", "champion", "canary"])
async def test_a_model_server_alone_never_changes_where_traffic_can_go(attacked: Attacked, number: int) -> None:
    server = await attacked.holder("model_server")
    before = await attacked.routed()

    elsewhere = await put(server, number)
    in_no_time = await put(server, number, url=f"{ENDPOINT}/risk/{number}", timeout_s=0.06)
    asked_otherwise = await put(
        server, number, url=f"{ENDPOINT}/risk/{number}", inputs=[{"name": "x", "datatype": "FP64"}]
    )

    assert [each.status for each in (elsewhere, in_no_time, asked_otherwise)] == [403] * 3
    assert elsewhere.document["permission"] == "versions:transition"
    assert await attacked.routed() == before


@pytest.mark.parametrize("number", [1, 2, 3], ids=["former champion", "champion", "canary"])
@pytest.mark.parametrize("change", ["url", "timeout_s", "inputs"])
async def test_whoever_moves_versions_changes_an_endpoint_that_can_get_traffic_only_with_approvals(
    attacked: Attacked, number: int, change: str
) -> None:
    same = {"url": f"{ENDPOINT}/risk/{number}"}
    other: dict[str, object] = {"timeout_s": 0.06, "inputs": [{"name": "x", "datatype": "FP64"}]}
    before = await attacked.routed()

    refused = await put(attacked.door, number, **({} if change == "url" else {**same, change: other[change]}))

    assert (refused.status, refused.document["type"]) == (409, "/problems/endpoint-approval-required")
    assert refused.document["approvals"] == {"count": 1, "role": "approver"}
    assert await attacked.routed() == before


async def test_a_former_champions_endpoint_moves_once_others_agree_and_a_rollback_serves_that(
    attacked: Attacked,
) -> None:
    guarded = Guarded(door=attacked.door)
    path = f"{versions()}/1/deployments/production/requests"
    agreed = {"url": f"{ENDPOINT}/agreed", "health": "healthy"}

    asked = (await attacked.door.call("POST", path, agreed)).expect(201)
    (await guarded.say("approve", asked["request_id"], actor="cem")).expect(200)
    (await attacked.door.roll_back(2)).expect(200)

    assert (asked["from_stage"], asked["to_stage"], asked["approvals_needed"]) == ("deprecated", "deprecated", 1)
    assert (await attacked.routed())["risk/1"] == agreed["url"]


async def test_a_rollback_never_serves_another_endpoint_than_the_one_that_was_agreed_to(attacked: Attacked) -> None:
    # A table of the project's own leads a former champion through a stage in which nobody guards its endpoint.
    ways = [("deprecated", "staging"), ("staging", "deprecated"), ("staging", "production")]
    table = [{"from_stage": from_stage, "to_stage": to_stage} for from_stage, to_stage in ways]
    (await attacked.door.call("PUT", "/policies", {**GUARDS, "allowed_moves": table})).expect(200)
    (await attacked.door.move(1, "staging")).expect(200)
    server = await attacked.holder("model_server")
    (await put(server, 1)).expect(200)
    (await attacked.door.move(1, "deprecated")).expect(200)
    before = await attacked.routed()

    refused = await attacked.door.roll_back(2)

    assert (refused.status, refused.document["type"]) == (409, "/problems/endpoint-not-agreed")
    assert refused.document["number"] == 1
    assert f"url was {ENDPOINT}/risk/1 and is {ELSEWHERE['url']}" in refused.document["detail"]
    assert "transition request" in refused.document["fix"]
    assert (await attacked.door.champion(), await attacked.routed()) == (2, before)


async def test_the_deadline_of_an_endpoint_is_part_of_its_revision(attacked: Attacked) -> None:
    path = f"{versions()}/4/deployments/production"
    same = {"url": f"{ENDPOINT}/risk/4", "health": "healthy"}

    first = (await attacked.door.call("PUT", path, same)).expect(200)
    slower = (await attacked.door.call("PUT", path, {**same, "timeout_s": 5})).expect(200)

    assert (first["endpoint"]["revision"], slower["endpoint"]["revision"]) == (1, 2)


async def test_an_experiment_gives_no_traffic_to_a_version_in_staging(attacked: Attacked) -> None:
    runner = await attacked.holder("admin", scopes=["experiments:write"])
    before = await attacked.routed()

    refused = await start(runner, 4)

    assert (refused.status, refused.document["type"]) == (409, "/problems/treatment-not-routable")
    assert refused.document["stage"] == "staging"
    assert f"{versions()}/4/transitions" in refused.document["fix"]
    assert await attacked.routed() == before


async def test_a_version_that_came_to_canary_before_policy_demanded_agreement_is_no_treatment(
    attacked: Attacked,
) -> None:
    guarded, before = Guarded(door=attacked.door), await attacked.routed()

    refused = await start(attacked.door, 3)
    asked = await attacked.door.call("POST", f"{versions()}/4/transition-requests", {"to_stage": "canary"})
    (await guarded.say("approve", asked.expect(201)["request_id"], actor="cem")).expect(200)
    agreed = await start(attacked.door, 4)

    assert (refused.status, refused.document["type"]) == (409, "/problems/treatment-not-routable")
    assert "before policy demanded" in refused.document["detail"]
    assert set(before) == {"risk/1", "risk/2", "risk/3"}
    assert agreed.status == 201


async def test_a_version_leaves_canary_only_when_no_experiment_sends_traffic_to_it(door: Door) -> None:
    await door.create()
    await door.promote()
    await door.register()
    await door.deploy(2)
    for stage in ("staging", "canary"):
        (await door.move(2, stage)).expect(200)
    (await start(door, 2)).expect(201)

    refused = await door.move(2, "staging")
    (await door.call("POST", "/experiments/exp-2/stop", {})).expect(200)

    assert (refused.status, refused.document["type"]) == (409, "/problems/transition-refused")
    assert "stop it first" in refused.document["fix"]
    assert (await door.move(2, "staging")).status == 200
