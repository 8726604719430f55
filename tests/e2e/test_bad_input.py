"""Bad input, end to end on real processes: a clear answer, nothing changed, and everybody else is served on."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiokafka import ConsumerRecord
from modelyard_events.codec import Record
from modelyard_events.entities import EntityChanged
from modelyard_events.topics import ENTITY_CHANGES, TRAINING_RUNS, Topic, topic_named
from modelyard_events.training import TrainingRunCompleted

from tests.world.lending import GLOBAL_MODEL, INDUSTRY_MODEL, MODEL_TYPE, Lending
from tests.world.outsider import an_outsiders_event
from tests.world.registry import an_evidence
from tests.world.waiting import until
from tests.world.world import ENTITY_TYPE, World

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

READING = {"get", "head", "options"}
OPERATIONS_MIN = 10
DEADLINE_S = 30.0
JSON = {"content-type": "application/json"}
NO_DIGEST = "sha256:" + "0" * 64
NO_ID = "00000000-0000-7000-8000-000000000000"

WHAT_IS_KEPT = """
SELECT (SELECT count(*) FROM registered_models) AS registered_models,
       (SELECT count(*) FROM model_versions) AS model_versions,
       (SELECT count(*) FROM artifacts) AS artifacts,
       (SELECT count(*) FROM transitions) AS transitions,
       (SELECT count(*) FROM alias_moves) AS alias_moves,
       (SELECT count(*) FROM deployments) AS deployments,
       (SELECT count(*) FROM experiments) AS experiments,
       (SELECT count(*) FROM audit_entries) AS audit_entries,
       (SELECT sum(last_sequence) FROM registered_models) AS facts,
       (SELECT sum(sequence) FROM routes) AS route_documents
"""


async def what_is_kept(world: World) -> dict[str, Any]:
    """Everything that a change would show in, facts included."""
    async with world.database() as connection:
        return dict(await connection.fetchrow(WHAT_IS_KEPT) or {})


async def changing_operations(world: World, service: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every operation of a service that can change something."""
    document = (await world.http(service, actor=None).call("GET", "/openapi.json")).expect(200)
    return [
        (method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method not in READING
    ]


def filled_in(path: str, lending: Lending) -> str:
    """The path of an operation with names of things that exist, as far as these have names of their own."""
    names = {
        "project": lending.project,
        "model_type": MODEL_TYPE,
        "name": INDUSTRY_MODEL,
        "model": INDUSTRY_MODEL,
        "reference": "1",
        "number": "1",
        "environment": "production",
        "key": "spring",
        "digest": NO_DIGEST,
    }
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: names.get(match.group(1), NO_ID), path)


def malformed_bodies(operation: dict[str, Any]) -> Iterator[bytes]:
    """Bodies that cannot be what the operation takes. Nothing when it takes none, or bytes."""
    if "application/json" not in operation.get("requestBody", {}).get("content", {}):
        return
    if operation["requestBody"].get("required"):
        yield b""
    yield b"{"
    yield b"\xff\xfe"
    yield b"[]"
    yield b'"text"'
    yield b'{"nobody_knows_this": 1}'
    yield b"[" * 50_000
    yield b'{"a":' + b"9" * 10_000 + b"}"


async def test_nobody_changes_anything_without_a_token(lending: Lending) -> None:
    before = await what_is_kept(lending.world)
    operations = await changing_operations(lending.world, "registry")

    for actor_header in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic YWRhOmFkYQ=="}):
        stranger = lending.world.http("registry", actor=None)
        for method, path, _ in operations:
            reply = await stranger.call(method, filled_in(path, lending), {}, headers=actor_header)
            assert reply.status == 401, f"{reply} for {actor_header}"
            assert reply.is_problem, reply

    assert len(operations) >= OPERATIONS_MIN
    assert await what_is_kept(lending.world) == before


async def test_nobody_is_answered_by_the_router_without_a_token(lending: Lending) -> None:
    stranger = lending.world.router(actor=None)

    for reply in (
        await stranger.route(**lending.attributes("loan-1")),
        await stranger.ask(**lending.attributes("loan-1")),
        await stranger.http.call("GET", "/v1/routes"),
    ):
        assert reply.status == 401, reply
        assert reply.is_problem, reply


async def test_malformed_bodies_are_refused_by_every_operation_and_change_nothing(lending: Lending) -> None:
    before = await what_is_kept(lending.world)
    ada = lending.world.http("registry", actor="ada")
    asked = 0

    for method, path, operation in await changing_operations(lending.world, "registry"):
        for body in malformed_bodies(operation):
            reply = await ada.call(method, filled_in(path, lending), data=body, headers=JSON)
            asked += 1
            assert 400 <= reply.status < 500, f"{reply} to {body[:40]!r}"
            assert reply.is_problem, f"{reply} to {body[:40]!r}"

    assert asked >= OPERATIONS_MIN
    assert await what_is_kept(lending.world) == before


@pytest.mark.parametrize("path", ["/v1/route", "/v1/predict"])
async def test_malformed_requests_to_the_router_are_refused(lending: Lending, path: str) -> None:
    router = lending.world.router()
    bodies = (b"", b"{", b"\xff\xfe", b"[]", b'"text"', b"[" * 50_000, b'{"inputs": 7}', b'{"parameters": []}')

    for body in bodies:
        reply = await router.http.call("POST", path, data=body, headers=JSON)
        assert 400 <= reply.status < 500, f"{reply} to {body[:40]!r}"
        assert reply.is_problem, f"{reply} to {body[:40]!r}"
    assert (await lending.predict("loan-1")).reason == "industry_champion"


async def test_what_does_not_exist_or_is_taken_is_refused_with_the_way_out(lending: Lending) -> None:
    before = await what_is_kept(lending.world)
    registry = lending.registry
    refusals = [
        (404, await registry.register("nobody", digest=NO_DIGEST, run_id="r")),
        (404, await registry.move(INDUSTRY_MODEL, 99, "staging")),
        (404, await registry.get_version("nobody", 1)),
        (422, await registry.move(INDUSTRY_MODEL, 1, "evaluating")),
        (422, await registry.deploy(INDUSTRY_MODEL, 1, url="file:///etc/passwd")),
        (422, await registry.read_features_from("http://127.0.0.1/{secret}", model_type=MODEL_TYPE)),
    ]
    for status, reply in refusals:
        assert reply.status == status, reply
        assert reply.is_problem, reply
    assert await what_is_kept(lending.world) == before

    conflicts = [
        await registry.create_model(GLOBAL_MODEL, model_type=MODEL_TYPE),
        await registry.register(GLOBAL_MODEL, digest=NO_DIGEST, run_id="r"),
        await registry.move(INDUSTRY_MODEL, 1, "staging"),
    ]
    for reply in conflicts:
        assert reply.status == 409, reply
        assert reply.is_problem, reply
    after = await what_is_kept(lending.world)
    refused = after["audit_entries"] - before["audit_entries"]
    assert refused == len(conflicts), "a refusal of somebody known is on record"
    assert {**after, "audit_entries": 0} == {**before, "audit_entries": 0}


async def test_bytes_with_another_digest_are_no_artifact(lending: Lending) -> None:
    before = await what_is_kept(lending.world)
    path = lending.registry.path(f"/artifacts/{NO_DIGEST}")

    reply = await lending.registry.http.call("PUT", path, data=b"other bytes")

    assert reply.status == 422, reply
    assert reply.is_problem, reply
    assert (await lending.registry.call("GET", f"/artifacts/{NO_DIGEST}")).status == 404
    assert await what_is_kept(lending.world) == before


async def artifact_files(world: World) -> set[Path]:
    """Whatever lies in the artifact store, drafts included."""
    place = world.system.directory / "artifacts"
    return await asyncio.to_thread(lambda: {file for file in place.rglob("*") if file.is_file()})


async def begin_upload(lending: Lending, *, announced_bytes: int, sent: bytes) -> bytes:
    """Announce an upload, send a part of it and hang up; the answer, if there was one by then."""
    registry = lending.world.http("registry", actor="ada")
    address = urlsplit(registry.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(
            f"PUT {lending.registry.path(f'/artifacts/{NO_DIGEST}')} HTTP/1.1\r\n"
            f"host: {address.netloc}\r\nauthorization: Bearer {registry.token}\r\n"
            f"content-length: {announced_bytes}\r\n\r\n".encode()
        )
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(DEADLINE_S):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("announced_bytes", [1_000_000, 10**15])
async def test_an_upload_that_is_cut_off_or_too_large_leaves_nothing(lending: Lending, announced_bytes: int) -> None:
    before = await what_is_kept(lending.world)
    files_before = await artifact_files(lending.world)

    answer = await begin_upload(lending, announced_bytes=announced_bytes, sent=b"x" * 100_000)

    status = answer.split(b" ", 2)[1:2]
    assert status in ([], [b"400"], [b"413"]), answer
    assert (status == [b"413"]) == (announced_bytes == 10**15)
    assert (await lending.registry.call("GET", f"/artifacts/{NO_DIGEST}")).status == 404
    assert await what_is_kept(lending.world) == before
    await until(lambda: artifact_files(lending.world), lambda files: files == files_before)


async def dead_letters_of(lending: Lending, topic: Topic) -> list[ConsumerRecord]:
    """What was parked from a topic of this test's own events."""
    parked = await lending.world.topics.records(topic_named(topic.dead_letter_name))
    return [record for record in parked if lending.project.encode() in (record.key or b"")]


async def test_malformed_training_events_are_parked_once_while_others_go_on(lending: Lending) -> None:
    key = f"{lending.project}/{INDUSTRY_MODEL}"
    digest = await lending.registry.upload(lending.artifact(INDUSTRY_MODEL, "sound"))
    data = {"project": lending.project, "model": INDUSTRY_MODEL, "run_id": "sound", "digest": digest}
    sound = an_outsiders_event(
        TrainingRunCompleted.type, {**data, "evidence": an_evidence()}, subject=key, structured=True
    )
    malformed = [
        Record(key=sound.key, value=b"{", headers=sound.headers),
        Record(key=sound.key, value=sound.value, headers=(("ce_id", None),)),
        an_outsiders_event(TrainingRunCompleted.type, {"project": lending.project}, subject=key),
        an_outsiders_event("training_run.dreamt.v1", data, subject=key),
        an_outsiders_event(TrainingRunCompleted.type, {**data, "digest": NO_DIGEST}, subject=key),
    ]

    for record in (*malformed, sound):
        await lending.world.send(TRAINING_RUNS, record)

    async def runs() -> list[str]:
        versions = await lending.registry.items(f"/registered-models/{INDUSTRY_MODEL}/versions")
        return [version["run_id"] for version in versions]

    assert await until(runs, lambda seen: "sound" in seen) == ["sound", "v1"]
    parked = await until(lambda: dead_letters_of(lending, TRAINING_RUNS), lambda seen: len(seen) >= len(malformed))
    assert [record.value for record in parked] == [record.value for record in malformed]
    assert all(dict(record.headers).get("dead_letter_reason") for record in parked)


async def test_malformed_entity_changes_are_parked_once_while_others_purge(lending: Lending) -> None:
    subject = f"{lending.tenant}/{ENTITY_TYPE}/loan-1"
    await lending.predict("loan-1")
    malformed = [
        an_outsiders_event(EntityChanged.type, {"tenant": lending.tenant}, subject=subject),
        an_outsiders_event(EntityChanged.type, {"version": -1}, subject=subject, structured=True),
    ]

    for record in malformed:
        await lending.world.send(ENTITY_CHANGES, record)
    version = await lending.world.change_entity("loan-1", tenant=lending.tenant)

    await lending.purge_of("loan-1", version=version)
    assert (await lending.predict("loan-1")).version_read == version
    parked = await until(lambda: dead_letters_of(lending, ENTITY_CHANGES), lambda seen: len(seen) >= len(malformed))
    assert [record.value for record in parked] == [record.value for record in malformed]
