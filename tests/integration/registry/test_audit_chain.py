"""Audit entries hold each other: what was changed, left out or cut off behind our back shows."""

import asyncio
import json

import pytest
from modelyard_events.audit_chain import hash_of_entry
from modelyard_events.registry import AuditEntryRecorded

from tests.integration.registry.door import Document, Door

pytestmark = pytest.mark.integration

SUBJECT = "registered-models/risk/versions/1"
CALLERS = 16


async def verify(door: Door, subject: str = SUBJECT) -> Document:
    reply = await door.call("GET", "/audit-entries/verify", query={"subject": subject})
    verified: Document = reply.expect(200)
    return verified


async def a_story(door: Door) -> None:
    """Four entries about one version."""
    await door.create()
    await door.register(evidence={"metrics": {"auc": 0.1 + 0.2, "loss": 1e-7, "flops": 1e20, "epochs": 3.0}})
    for stage in ("staging", "development", "staging"):
        (await door.move(1, stage, reason="ein Grund – mit Ümlauten")).expect(200)


async def tamper(door: Door, statement: str) -> None:
    async with door.database.acquire() as connection:
        await connection.execute(statement, door.project, SUBJECT)


async def test_each_entry_carries_the_hash_of_the_one_before_it_about_the_same_subject(door: Door) -> None:
    await a_story(door)

    told = [
        AuditEntryRecorded.model_validate(fact["event"])
        for fact in await door.facts("audit-log.v1")
        if fact["event"]["subject"] == SUBJECT
    ]

    verified = await verify(door)
    assert [entry.previous_hash for entry in told] == [None, *(hash_of_entry(entry) for entry in told[:-1])]
    assert (verified["intact"], verified["entries"], verified["unchained_entries"]) == (True, 4, 0)
    assert verified["last_hash"] == hash_of_entry(told[-1])


@pytest.mark.parametrize(
    ("statement", "place", "reason"),
    [
        (
            """UPDATE audit_entries SET actor = 'nobody' WHERE project = $1 AND subject = $2 AND place = 2""",
            2,
            "It is not what its hash was computed of.",
        ),
        (
            """UPDATE audit_entries SET after = '{"stage": "production"}'
               WHERE project = $1 AND subject = $2 AND place = 3""",
            3,
            "It is not what its hash was computed of.",
        ),
        (
            """WITH gone AS (DELETE FROM outbox WHERE audit_entry_id IN (
                   SELECT id FROM audit_entries WHERE project = $1 AND subject = $2 AND place = 2))
               UPDATE audit_entries SET place = NULL WHERE project = $1 AND subject = $2 AND place = 2""",
            2,
            "The entry at place 2 is missing.",
        ),
        (
            """UPDATE audit_entries SET place = NULL WHERE project = $1 AND subject = $2 AND place = 4""",
            4,
            "The chain has 4 entries, 3 are left.",
        ),
    ],
    ids=["another actor", "another stage", "one left out", "one cut off"],
)
async def test_what_was_done_behind_our_back_is_found(door: Door, statement: str, place: int, reason: str) -> None:
    await a_story(door)
    await tamper(door, statement)

    verified = await verify(door)

    assert (verified["intact"], verified["broken_place"], verified["reason"]) == (False, place, reason)
    assert verified["entries"] == place - 1


async def test_changes_about_one_subject_at_once_make_one_chain(door: Door) -> None:
    await door.create()
    await door.register()

    await asyncio.gather(*(door.move(1, "production") for _ in range(CALLERS)))

    verified = await verify(door)
    assert verified["intact"]
    assert verified["entries"] == 1 + CALLERS


async def test_the_log_is_exported_line_by_line_with_the_filters_of_the_search(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard_registry.audit.http.EXPORTED_AT_ONCE", 2)
    await a_story(door)

    everything = await door.call("GET", "/audit-entries/export")
    moves = await door.call(
        "GET",
        "/audit-entries/export",
        query={"subject": "registered-models/risk", "action": "model_version.transitioned"},
    )

    entries = [json.loads(line) for line in everything.body.splitlines()]
    found = (await door.call("GET", "/audit-entries")).expect(200)["items"]
    assert everything.media_type == "application/x-ndjson"
    assert entries == list(reversed(found))
    assert len(entries) > 4
    assert [json.loads(line)["after"]["stage"] for line in moves.body.splitlines()] == [
        "staging",
        "development",
        "staging",
    ]
    assert {entry["log_index"] for entry in entries} == {None}
