"""Registrations at once: they share commits, and each is answered, refused and recorded for itself."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from tests.integration.registry.door import Document, Door, digest_of, versions
from tests.world.http_client import Reply

pytestmark = pytest.mark.integration

CALLERS = 64


async def test_refused_and_repeated_callers_among_sixty_four_leave_the_numbers_gapless(door: Door) -> None:
    await door.create()
    digest = await door.upload()
    bodies: list[Document] = [{"digest": digest, "run_id": f"run-{number}"} for number in range(24)]
    bodies += [{"digest": digest, "run_id": "the-same"} for _ in range(16)]
    bodies += [{"digest": digest_of(b"nowhere"), "run_id": f"lost-{number}"} for number in range(16)]
    bodies += [{"digest": digest, "semver": "7.0.0", "run_id": f"seven-{number}"} for number in range(8)]

    replies = await asyncio.gather(*(door.call("POST", versions(), body) for body in bodies))

    made = {reply.document["number"] for reply in replies if reply.was_accepted}
    assert len(replies) == CALLERS
    assert Counter(reply.status for reply in replies) == {201: 26, 200: 15, 409: 23}
    assert made == set(range(1, 27))
    assert [fact["sequence"] for fact in await door.facts()] == list(range(1, 28))
    assert Counter(await door.actions())["model_version.registered"] == 26
    assert Counter(await door.actions())["model_version.registered.refused"] == 23


async def test_registrations_at_once_share_commits(door: Door) -> None:
    names = [f"model-{number}" for number in range(16)]
    for name in names:
        await door.create(name)
    digest = await door.upload()

    await asyncio.gather(*(door.call("POST", versions(name), {"digest": digest}) for name in names * 4))

    assert await _counted(door, "count(*)") == CALLERS
    assert await _counted(door, "count(DISTINCT xmin::text)") <= CALLERS // 4


async def test_each_of_those_who_share_a_commit_is_on_record_as_itself(door: Door) -> None:
    await door.create()
    digest = await door.upload()
    people = [replace(door, http=replace(door.http, token=f"{name}s-token")) for name in ("ann", "bob", "fay")]

    await asyncio.gather(
        *(
            person.call("POST", versions(), {"digest": digest}, headers={"x-request-id": f"request-{number}"})
            for number, person in enumerate(people * 4)
        )
    )

    entries = [entry for entry in await door.audit() if entry["action"] == "model_version.registered"]
    assert Counter(entry["actor"] for entry in entries) == {"ann": 4, "bob": 4, "fay": 4}
    assert {entry["request_id"] for entry in entries} == {f"request-{number}" for number in range(12)}


async def test_a_key_that_comes_at_once_with_itself_registers_once(door: Door) -> None:
    await door.create()
    digest = await door.upload()

    async def send(number: int) -> Reply:
        headers = {"idempotency-key": f"key-{number % 8}"}
        return await door.call("POST", versions(), {"digest": digest}, headers=headers)

    replies = await asyncio.gather(*(send(number) for number in range(32)))

    assert {reply.status for reply in replies} == {201}
    for key in range(8):
        assert len({reply.document["version_id"] for reply in replies[key::8]}) == 1
    assert {reply.document["number"] for reply in replies} == set(range(1, 9))
    assert await _counted(door, "count(*)") == 8


async def test_a_key_that_comes_at_once_with_another_request_is_refused_there(door: Door) -> None:
    await door.create()
    digest = await door.upload()
    headers = {"idempotency-key": "one-key"}

    replies = await asyncio.gather(
        *(door.call("POST", versions(), {"digest": digest, "run_id": run}, headers=headers) for run in ("a", "b"))
    )

    assert sorted(reply.status for reply in replies) == [201, 409]


async def test_only_who_saw_an_older_revision_is_told_so(door: Door) -> None:
    model = await door.create()
    digest = await door.upload()
    stale = {"if-match": f'"{model["revision"] + 7}"'}

    replies = await asyncio.gather(
        *(
            door.call("POST", versions(), {"digest": digest}, headers=stale if number == 5 else None)
            for number in range(12)
        )
    )

    assert [reply.status for reply in replies] == [201] * 5 + [412] + [201] * 6
    assert await _counted(door, "max(number)") == 11


async def test_a_text_that_cannot_be_stored_is_refused_without_taking_others_with_it(door: Door) -> None:
    await door.create()
    digest = await door.upload()

    replies = await asyncio.gather(
        *(
            door.call("POST", versions(), {"digest": digest, "evidence": {"algorithm": "a\0" if number == 3 else "a"}})
            for number in range(12)
        )
    )

    assert [reply.status for reply in replies] == [201] * 3 + [422] + [201] * 8
    assert {reply.document["number"] for reply in replies if reply.was_accepted} == set(range(1, 12))


async def test_a_model_that_somebody_holds_does_not_hold_up_the_others(door: Door) -> None:
    for name in ("held", "free"):
        await door.create(name)
    digest = await door.upload()
    async with door.database.acquire() as connection:
        holding = connection.transaction()
        await holding.start()
        await connection.execute("SELECT FROM registered_models WHERE project = $1 AND name = 'held' FOR UPDATE",
                                 door.project)  # fmt: skip
        waiting = [asyncio.create_task(door.call("POST", versions("held"), {"digest": digest})) for _ in range(4)]
        free = await asyncio.gather(*(door.call("POST", versions("free"), {"digest": digest}) for _ in range(8)))
        assert [reply.status for reply in free] == [201] * 8
        assert not any(each.done() for each in waiting)
        await holding.rollback()

    assert {(await each).expect(201)["number"] for each in waiting} == {1, 2, 3, 4}


async def test_everybody_hears_of_a_database_that_is_lost_under_way_and_nothing_is_kept(door: Door) -> None:
    await door.create()
    digest = await door.upload()
    marks = await door.marks()
    async with door.database.acquire() as connection:
        holding = connection.transaction()
        await holding.start()
        await connection.execute("SELECT FROM registered_models WHERE project = $1 FOR UPDATE", door.project)
        calls = [asyncio.create_task(door.call("POST", versions(), {"digest": digest})) for _ in range(8)]

        # Those that arrive while the first ones wait for the lock come next, and wait in their turn.
        while not all(each.done() for each in calls):
            await _end_who_waits(door)
        await holding.rollback()

    assert [(await each).status for each in calls] == [503] * 8
    assert await door.marks() == marks
    assert (await door.register())["number"] == 1


async def test_a_registration_is_answered_the_same_by_the_long_way(door: Door) -> None:
    await door.create()
    digest = await door.upload()
    headers = {"content-type": "application/json; charset=utf-8", "idempotency-key": "once"}
    body = b'{"digest": "%s", "evidence": {"metrics": {"auc": 0.5}}}' % digest.encode()

    long = await door.call("POST", versions(), data=body, headers=headers)
    short = await door.call("POST", versions(), data=body, headers={**headers, "content-type": "application/json"})

    assert (long.status, short.status) == (201, 201)
    assert short.document == long.document
    assert (short.etag, short.media_type) == (long.etag, long.media_type)


async def _end_who_waits(door: Door) -> None:
    # In a transaction, the activity would stay as it was first seen.
    async with door.database.acquire() as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FOR UPDATE%'"
        )


async def _counted(door: Door, what: str) -> int:
    async with door.database.acquire() as connection:
        return int(await connection.fetchval(f"SELECT {what} FROM model_versions WHERE project = $1", door.project))


async def test_one_key_for_a_registration_and_another_change_at_once_lets_one_of_them_through(door: Door) -> None:
    await door.create()
    digest = await door.upload()
    answers = set()

    for attempt in range(12):
        headers = {"Idempotency-Key": f"{door.project}-{attempt}"}
        described = door.call("PATCH", "/registered-models/risk", {"description": str(attempt)}, headers=headers)
        registered = door.call("POST", versions(), {"digest": digest}, headers=headers)
        replies = await asyncio.gather(*((described, registered) if attempt % 2 else (registered, described)))
        answers.add(tuple(sorted(reply.status for reply in replies)))

    assert answers <= {(200, 409), (201, 409)}
