"""Whoever is known and refused, by whichever service, is in the audit log; so is whoever purges by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modelyard_events.registry import AuditEntryRecorded
from modelyard_events.topics import AUDIT_LOG

from tests.world.http_client import HttpClient
from tests.world.lending import Lending
from tests.world.published import events_of
from tests.world.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

FLOOD = 40


async def entries_of(lending: Lending, action: str, *, project: str) -> list[dict[str, Any]]:
    """The audit entries of that action, as HTTP answers them."""
    path = f"/api/v1/projects/{project}/audit-entries"
    page = await lending.world.http("registry", actor="ada").call(
        "GET", path, query={"action": action, "page_size": "200"}
    )
    found: list[dict[str, Any]] = page.expect(200)["items"]
    return found


async def published_entries(lending: Lending) -> list[AuditEntryRecorded]:
    """All audit entries on the topic."""
    return list(events_of(await lending.world.topics.published(AUDIT_LOG), AuditEntryRecorded))


async def a_stranger(lending: Lending, service: str, path: str, *, headers: dict[str, str]) -> HttpClient:
    """Somebody of this test alone, an auditor of its project, whom the service knows and has refused once."""
    document = {
        "actor": f"auditor-of-{lending.project}",
        "project": lending.project,
        "roles": ["auditor"],
        "expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    }
    issued = await lending.world.http("registry", actor="ada").call("POST", "/api/v1/access/tokens", document)
    caller = replace(lending.world.http(service, actor=None), token=issued.expect(201)["token"])
    # Until the news of the token has come there, its holder is nobody.
    await until(lambda: caller.call("POST", path, {}, headers=headers), lambda reply: reply.status != 401)
    return caller


async def test_a_refused_call_to_the_router_is_on_record_in_its_project(lending: Lending) -> None:
    request = {"X-Request-Id": f"refused-{lending.project}"}
    auditor = await a_stranger(lending, "router", "/v1/route", headers=request)
    question = {"project": lending.project, "model_type": "anything"}

    refused = [await auditor.call("POST", "/v1/route", question, headers=request) for _ in range(FLOOD)]
    (first, *_) = await until(
        lambda: entries_of(lending, "predictions.make.refused", project=lending.project), lambda found: bool(found)
    )
    told = await until(
        lambda: published_entries(lending),
        lambda entries: any(each.project == lending.project and each.action == first["action"] for each in entries),
    )

    assert {reply.status for reply in refused} == {403}
    assert first["actor"] == "service:router", "the registry has only the router's word for it"
    assert first["after"]["refused_actor"].endswith(f"auditor-of-{lending.project}")
    assert first["request_id"] == f"refused-{lending.project}"
    assert first["subject"] == "services/router/v1/route"
    assert first["after"]["service"] == "router"
    assert first["after"]["operation"] == "POST /v1/route"
    assert first["after"]["count"] == 1, "what follows is summed up when its minute is over"
    assert lending.project in first["reason"]
    assert [each.entry_id for each in told if each.project == lending.project and each.action == first["action"]] == [
        first["entry_id"]
    ]


async def test_a_refused_purge_and_a_purge_by_hand_are_on_record(lending: Lending) -> None:
    change = {"tenant": lending.project, "entity_type": "loan", "entity_id": "47/11 é"}
    path = "/v1/entity-changes"
    request = {"X-Request-Id": f"purged-{lending.project}"}

    auditor = await a_stranger(lending, "cache_invalidator", path, headers=request)
    refused = await auditor.call("POST", path, change, headers=request)
    accepted = await lending.world.http("cache_invalidator", actor="ada").call("POST", path, change, headers=request)
    cause = accepted.expect(202)["event_id"]
    purges = await until(
        lambda: entries_of(lending, "entity.purged", project="default"),
        lambda found: any(each["after"]["caused_by"] == cause for each in found),
    )
    refusals = await until(
        lambda: entries_of(lending, "entities.change.refused", project=lending.project),
        lambda found: any(_is_about_auditor(each, lending) for each in found),
    )

    assert refused.status == 403
    (purged,) = [each for each in purges if each["after"]["caused_by"] == cause]
    assert (purged["actor"], purged["after"]["purging_actor"]) == ("service:cache_invalidator", "ada")
    assert purged["subject"] == f"entities/{lending.project}/loan/47%2F11%20%C3%A9"
    assert purged["request_id"] == f"purged-{lending.project}"
    (entry,) = [each for each in refusals if _is_about_auditor(each, lending)]
    assert (entry["after"]["service"], entry["after"]["operation"]) == ("cache_invalidator", f"POST {path}")


def _is_about_auditor(entry: dict[str, Any], lending: Lending) -> bool:
    """Whether an entry tells of the project's auditor, however its name is qualified."""
    return str(entry["after"]["refused_actor"]).endswith(f"auditor-of-{lending.project}")
