"""What other services say about access is in the audit log once, however often it is said or delivered."""

from typing import Any

import pytest
from modelyard_events.invalidations import EntityPurged
from modelyard_events.refusals import AccessRefused
from modelyard_events.topics import ACCESS_REFUSALS, CACHE_INVALIDATIONS, topic_named
from modelyard_runtime.ids import new_uuid7
from prometheus_client import REGISTRY

from tests.integration.registry.registry_world import RegistryWorld
from tests.integration.registry.relay_world import until

pytestmark = pytest.mark.integration


def a_refusal(world: RegistryWorld, **facts: Any) -> AccessRefused:
    """A refusal of a gateway by a router."""
    return AccessRefused(
        **{
            "service": "router",
            "actor": "gate",
            "permission": "predictions:make",
            "project": world.project,
            "operation": "POST /v1/route",
            "reason": "gate lacks the permission.",
            "request_id": "r-1",
            **facts,
        }
    )


async def refuse(world: RegistryWorld, *, source: str, sequence: int, event_id: str = "", **facts: Any) -> None:
    """Publish a refusal as a router does."""
    await world.say(
        ACCESS_REFUSALS,
        a_refusal(world, **facts),
        source=source,
        key=world.project,
        sequence=sequence,
        event_id=event_id,
    )


async def entries(world: RegistryWorld, action: str, *, project: str | None = None) -> list[dict[str, Any]]:
    """The audit entries of that action, newest first."""
    path = f"/api/v1/projects/{project or world.project}/audit-entries"
    reply = await world.http.call("GET", path, query={"action": action, "page_size": "200"})
    found: list[dict[str, Any]] = reply.expect(200)["items"]
    return found


def missing() -> float:
    """How many facts are known to be missing."""
    found = [
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "registry_facts_missing_total" and sample.labels["topic"].endswith(ACCESS_REFUSALS.name)
    ]
    return sum(found)


async def test_a_refusal_that_is_said_again_is_on_record_once(registry_world: RegistryWorld) -> None:
    source = f"/modelyard/router/{new_uuid7()}"
    same = new_uuid7()
    await refuse(registry_world, source=source, sequence=1, event_id=same)
    await refuse(registry_world, source=source, sequence=2, request_id="r-2", count=7)
    await refuse(registry_world, source=source, sequence=1, event_id=same)
    await refuse(registry_world, source=source, sequence=3, permission="models:read", request_id="r-3")

    async def are_there() -> bool:
        return bool(await entries(registry_world, "models.read.refused"))

    await until(are_there)
    found = await entries(registry_world, "predictions.make.refused")

    assert [(each["request_id"], each["after"]["count"]) for each in reversed(found)] == [("r-1", 1), ("r-2", 7)]
    assert {(each["actor"], each["after"]["refused_actor"]) for each in found} == {("service:router", "gate")}


async def test_a_report_about_somebody_is_never_on_record_as_their_own_act(registry_world: RegistryWorld) -> None:
    tenant = registry_world.project
    purge = EntityPurged(
        tenant=tenant, entity_type="loan", entity_id="1", purged_entries=0, caused_by=new_uuid7(), actor="ada"
    )
    await registry_world.say(CACHE_INVALIDATIONS, purge, source="/forged", key=f"{tenant}/loan/1")
    await refuse(registry_world, source="/forged", sequence=1, actor="ada", service="registry")

    async def are_there() -> bool:
        purged = await entries(registry_world, "entity.purged", project="default")
        refused = await entries(registry_world, "predictions.make.refused")
        return bool(refused) and any(tenant in each["subject"] for each in purged)

    await until(are_there)
    purged = await entries(registry_world, "entity.purged", project="default")
    refused = await entries(registry_world, "predictions.make.refused")

    assert [each["actor"] for each in purged if tenant in each["subject"]] == ["service:cache_invalidator"]
    assert [each["actor"] for each in refused] == ["service:unknown"]
    assert refused[0]["reason"].startswith("Reported by the service registry: ")
    assert refused[0]["after"]["refused_actor"] == "ada"


async def test_facts_that_never_came_show_as_missing(registry_world: RegistryWorld) -> None:
    source = f"/modelyard/router/{new_uuid7()}"
    before = missing()
    await refuse(registry_world, source=source, sequence=1)
    await refuse(registry_world, source=source, sequence=5, permission="models:read")

    async def are_there() -> bool:
        return bool(await entries(registry_world, "models.read.refused"))

    await until(are_there)

    assert missing() - before == 3


async def test_a_fact_that_nobody_can_read_is_parked_and_the_others_go_on(registry_world: RegistryWorld) -> None:
    source = f"/modelyard/router/{new_uuid7()}"
    purge = EntityPurged(
        tenant="CA", entity_type="loan", entity_id="1", purged_entries=0, caused_by=new_uuid7(), actor="ann"
    )
    await registry_world.producer.send_and_wait(
        f"{registry_world.prefix}{ACCESS_REFUSALS.name}", key=b"x", value=b"{not json"
    )
    await refuse(registry_world, source=source, sequence=1)
    await registry_world.say(CACHE_INVALIDATIONS, purge, source="/modelyard/cache-invalidator", key="CA/loan/1")

    async def are_there() -> bool:
        return bool(await entries(registry_world, "predictions.make.refused"))

    await until(are_there)

    assert await registry_world.records(topic_named(ACCESS_REFUSALS.dead_letter_name))


async def test_a_purge_by_hand_is_on_record_once_and_those_of_systems_of_record_are_not(
    registry_world: RegistryWorld,
) -> None:
    tenant, cause = registry_world.project, new_uuid7()

    async def purge(entity_id: str, *, caused_by: str, actor: str | None) -> None:
        event = EntityPurged(
            tenant=tenant,
            entity_type="loan",
            entity_id=entity_id,
            purged_entries=2,
            caused_by=caused_by,
            actor=actor,
        )
        key = f"{tenant}/loan/{entity_id}"
        await registry_world.say(CACHE_INVALIDATIONS, event, source="/modelyard/cache-invalidator", key=key)

    await purge("a é", caused_by=cause, actor="ann")
    await purge("a é", caused_by=cause, actor="ann")
    await purge("a é", caused_by=new_uuid7(), actor=None)
    await purge("a é", caused_by=(last := new_uuid7()), actor="bea")

    async def of_tenant() -> list[dict[str, Any]]:
        found = await entries(registry_world, "entity.purged", project="default")
        return [each for each in found if each["subject"] == f"entities/{tenant}/loan/a%20%C3%A9"]

    async def has_last() -> bool:
        return any(each["after"]["caused_by"] == last for each in await of_tenant())

    await until(has_last)

    assert [(each["after"]["purging_actor"], each["after"]["caused_by"]) for each in reversed(await of_tenant())] == [
        ("ann", cause),
        ("bea", last),
    ]
