"""An auditor verifies a project, a month, the whole log, an export and the topic; whatever was done shows."""

import asyncio
import hashlib
import json
import re
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from modelyard_examples import audit_verifier
from modelyard_registry.audit.chain import Walk, verify

from tests.integration.registry.door import Document, Door, versions

pytestmark = pytest.mark.integration

SUBJECT = "registered-models/risk/versions/1"
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "audit-log.md"


async def a_story(door: Door) -> None:
    """Entries about several subjects, with numbers and letters of all sorts."""
    await door.create()
    await door.register(evidence={"metrics": {"auc": 0.1 + 0.2, "loss": 1e-7, "flops": 1e20, "epochs": 3.0}})
    for stage in ("staging", "development", "staging"):
        (await door.move(1, stage, reason="ein Grund – mit Ümlauten")).expect(200)
    await door.create("other")


async def verified(door: Door, **query: str) -> Document:
    found: Document = (await door.call("GET", "/audit-entries/verify", query=query)).expect(200)
    return found


async def tamper(door: Door, statement: str) -> None:
    async with door.database.acquire() as connection:
        await connection.execute(statement, door.project)


async def test_a_whole_project_is_verified_at_once(door: Door) -> None:
    await a_story(door)

    found = await verified(door)

    assert (found["intact"], found["complete"], found["broken"]) == (True, True, [])
    assert found["entries"] == len(await door.audit()) > 6


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE audit_entries SET actor = 'nobody' WHERE project = $1 AND place = 2", "computed of"),
        ("DELETE FROM audit_entries WHERE project = $1 AND place = 2 AND false", None),
        ("UPDATE audit_entries SET place = NULL WHERE project = $1 AND place = 2", "place 2 is missing"),
        ("UPDATE audit_entries SET place = NULL WHERE project = $1 AND place = 4", "3 are left"),
        ("UPDATE audit_entries SET place = NULL WHERE project = $1 AND subject LIKE '%other'", "0 are left"),
        ("UPDATE audit_entries SET subject = 'x' WHERE project = $1 AND place = 4", "3 are left"),
        ("UPDATE audit_chains SET place = 3 WHERE project = $1 AND place = 4", "with which its chain ends"),
    ],
)
async def test_whatever_was_done_to_a_project_behind_our_back_shows(
    door: Door, statement: str, reason: str | None
) -> None:
    await a_story(door)
    await tamper(door, statement)

    found = await verified(door)

    assert found["intact"] is (reason is None)
    if reason is not None:
        assert any(reason in each["reason"] for each in found["broken"])
        assert {each["project"] for each in found["broken"]} == {door.project}
        assert reason in (found["reason"] or "") or len(found["broken"]) > 1


async def test_a_month_is_verified_alone(door: Door) -> None:
    await door.create("february")
    door.clock.now += timedelta(days=40)
    start = door.clock.now
    await a_story(door)
    end = door.clock.now + timedelta(seconds=1)
    door.clock.now += timedelta(days=40)
    await door.create("may")
    month = {"created_after": start.isoformat(), "created_before": end.isoformat()}

    intact = await verified(door, **month)
    await tamper(door, "UPDATE audit_entries SET reason = '' WHERE project = $1 AND subject LIKE '%february'")
    others = await verified(door, **month)
    await tamper(door, "UPDATE audit_entries SET reason = '' WHERE project = $1 AND place = 3")
    broken = await verified(door, **month)

    assert (intact["intact"], others["intact"], broken["intact"]) == (True, True, False)
    assert intact["entries"] == len(await door.audit()) - 2
    assert (await verified(door))["intact"] is False


async def test_an_admin_verifies_the_whole_log(door: Door) -> None:
    await a_story(door)
    beside = await door.beside()
    await a_story(beside)

    broken: list[Document] = []
    query: dict[str, str] = {}
    while True:
        found = (await door.http.call("GET", "/api/v1/audit-entries/verify", query=query)).expect(200)
        broken += found["broken"]
        if found["complete"]:
            break
        query = {"page_token": found["next_page_token"]}
    viewer = replace(door.http, token="dees-token")

    assert {each["project"] for each in broken} & {door.project, beside.project} == set()
    assert (await viewer.call("GET", "/api/v1/audit-entries/verify")).status == 200
    assert (await replace(door.http, token="eves-token").call("GET", "/api/v1/audit-entries/verify")).status == 403


async def test_a_long_log_is_verified_in_parts_that_add_up(door: Door) -> None:
    await a_story(door)
    await tamper(door, "UPDATE audit_entries SET actor = 'nobody' WHERE project = $1 AND place = 3")
    entries, parts, walk = 0, 0, Walk(project=door.project)
    reasons: list[str] = []

    while True:
        found = await verify(door.database.reading, walk, links_max=2)
        entries, parts = entries + found.entries, parts + 1
        reasons += [each.reason for each in found.breaks]
        if found.stopped_at is None:
            break
        walk = replace(walk, after=found.stopped_at)

    assert entries == len(await door.audit()) - 1
    assert parts == -(-len(await door.audit()) // 2)
    assert reasons == ["It is not what its hash was computed of."]


async def test_verifying_holds_up_nobody_who_writes(door: Door) -> None:
    await a_story(door)

    async def look() -> bool:
        return bool((await verified(door))["intact"])

    async def write(number: int) -> bool:
        return bool(await door.create(f"model-{number}"))

    assert all(await asyncio.gather(*(look() for _ in range(5)), *(write(number) for number in range(5))))


@pytest.mark.parametrize("subject", ["registered-models/wien", "registered-models/risk/versions", "x" * 300])
async def test_verifying_what_never_existed_is_not_found(door: Door, subject: str) -> None:
    await a_story(door)

    reply = await door.call("GET", "/audit-entries/verify", query={"subject": subject})

    assert (reply.status, reply.document["type"]) == (404, "/problems/audit-subject-not-found")


@pytest.mark.parametrize("subject", ["*", "registered-models/*"])
async def test_a_pattern_is_no_subject(door: Door, subject: str) -> None:
    reply = await door.call("GET", "/audit-entries/verify", query={"subject": subject})

    assert (reply.status, reply.document["type"]) == (422, "/problems/audit-subject-invalid")
    assert "Leave `subject` out" in reply.document["fix"]


async def test_the_export_is_filtered_by_what_it_is_asked_for(door: Door) -> None:
    await a_story(door)
    entries = await door.audit()
    middle = entries[3]["recorded_at"]

    async def export(**query: str) -> list[Document]:
        reply = await door.call("GET", "/audit-entries/export", query=query)
        assert reply.status == 200, reply
        return [json.loads(line) for line in reply.body.splitlines()]

    assert len(await export(created_after=middle.isoformat())) == len(entries) - 3
    assert len(await export(created_before=middle.isoformat())) == 3
    assert await export(actor="nobody") == []
    assert {each["action"] for each in await export(action="registered_model.created")} == {"registered_model.created"}
    assert {each["subject"] for each in await export(subject=SUBJECT)} == {SUBJECT}
    assert {each["project"] for each in await export()} == {door.project}
    assert (await door.call("GET", "/audit-entries/export?from=2026-01-01T00:00:00Z")).status == 422
    assert (await door.call("GET", "/audit-entries/export?after=2026-01-01T00:00:00Z")).status == 422


async def verify_outside(lines: bytes, *arguments: str) -> tuple[int, str]:
    """What the example says, run as an auditor runs it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "modelyard_examples.audit_verifier", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(lines)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_an_export_is_verified_with_nothing_of_ours(door: Door) -> None:
    await a_story(door)
    await asyncio.gather(*(door.move(1, "production") for _ in range(8)))
    exported = (await door.call("GET", "/audit-entries/export")).body
    lines = exported.splitlines(keepends=True)

    assert await verify_outside(exported) == (0, f"{len(lines)} entries hold, 0 do not.\n")
    changed = exported.replace(b'"actor":"ann"', b'"actor":"bob"', 1)
    assert (await verify_outside(changed))[0] == 1
    assert (await verify_outside(b"".join(lines[:3] + lines[4:])))[0] == 1
    assert (await verify_outside(b"".join(lines[3:]), "--part"))[0] == 0


async def test_the_topic_carries_what_verifies_it(door: Door) -> None:
    await a_story(door)

    facts = [fact["payload"] for fact in await door.facts("audit-log.v1")]

    count, faults = audit_verifier.verify(facts)
    assert (count, faults) == (len(facts), [])
    told = {json.loads(fact)["entry_id"]: json.loads(fact)["hash"] for fact in facts}
    found = (await door.call("GET", "/audit-entries", query={"page_size": "200"})).expect(200)["items"]
    assert told == {each["entry_id"]: each["hash"] for each in found}


async def test_refused_changes_of_a_version_are_found_by_its_number_however_it_was_named(door: Door) -> None:
    await door.create()
    await door.register()

    for reference in ("1", "1.0.0", "latest"):
        path = f"{versions()}/{reference}/transitions"
        assert (await door.call("POST", path, {"to_stage": "production"})).status == 409

    entries = (await door.call("GET", "/audit-entries", query={"subject": SUBJECT})).expect(200)["items"]
    assert [each["action"] for each in entries] == [
        *["model_version.transitioned.refused"] * 3,
        "model_version.registered",
    ]


def test_the_worked_example_of_the_document_is_right() -> None:
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    canonical = re.search(r"```text\n(\{.*?\})\n```", PAGE.read_text(), flags=re.DOTALL)
    first, second = (json.loads(block) for block in blocks[:2])

    assert canonical is not None
    members = {name: value for name, value in first.items() if value is not None and name not in ("hash", "log_index")}
    spelled = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert spelled == canonical[1]
    assert first["hash"] == f"sha256:{hashlib.sha256(spelled.encode()).hexdigest()}"
    assert second["previous_hash"] == first["hash"]
    assert audit_verifier.verify([json.dumps(first), json.dumps(second)]) == (2, [])
