"""Whatever is in a change, by Kafka or HTTP, the invalidator never fails on it, and a sound one is purged."""

import json
from dataclasses import replace

import aiohttp
import pytest
from modelyard_events.entities import EntityChanged
from modelyard_events.record import Record
from modelyard_events.topics import ENTITY_CHANGES, topic_named
from modelyard_prediction_cache import Entity

from tests.extremes import HEADER_BYTES, documents_with_extremes, drawn, each_field_extreme, written
from tests.integration.cache_invalidator.conftest import TOKEN, Invalidation
from tests.world.outsider import an_outsiders_event
from tests.world.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

CHANGE = {"tenant": "CA", "entity_type": "loan", "entity_id": "4711", "version": 3, "changed_fields": ["income"]}
SUBMISSION = {name: value for name, value in CHANGE.items() if name != "changed_fields"}
LOAN = Entity(tenant="NY", entity_type="loan", entity_id="sound")
EACH_FIELD_STEP = 7


async def test_no_extreme_change_makes_a_handler_fail_or_stops_another(invalidation: Invalidation) -> None:
    await invalidation.remember(LOAN)
    sound = an_outsiders_event(EntityChanged.type, CHANGE, subject="CA/loan/4711")

    documents = [*drawn(documents_with_extremes(CHANGE)), *each_field_extreme(CHANGE)]
    for number, document in enumerate(documents):
        if number < 150 or number % EACH_FIELD_STEP == 0:
            await invalidation.send(replace(sound, value=written(document).encode(errors="surrogatepass")))
    for record in _with_extreme_headers(sound):
        await invalidation.send(record)
    # The same key, so the same partition: whatever went wrong there would hold it up.
    last = json.dumps({"tenant": LOAN.tenant, "entity_type": LOAN.entity_type, "entity_id": LOAN.entity_id})
    await invalidation.send(replace(sound, value=last.encode()))

    await until(lambda: invalidation.cached(LOAN), lambda is_cached: not is_cached, timeout_s=120.0)
    failed = [
        headers["dead_letter_detail"]
        for record in await invalidation.topics.records(topic_named(ENTITY_CHANGES.dead_letter_name))
        if (headers := dict(record.headers))["dead_letter_reason"] == b"handler_failed"
    ]
    assert failed == []
    assert (await invalidation.http.call("GET", "/readyz")).status == 200


async def test_no_extreme_submission_is_answered_with_a_defect(invalidation: Invalidation) -> None:
    documents = [*drawn(documents_with_extremes(SUBMISSION)), *list(each_field_extreme(SUBMISSION))[::EACH_FIELD_STEP]]
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    refusals = 0
    async with aiohttp.ClientSession(invalidation.http.url, headers=headers) as session:
        for document in documents:
            body = written(document).encode(errors="surrogatepass")
            async with session.post("/v1/entity-changes", data=body) as reply:
                assert reply.status < 500, (body[:200], await reply.text())
                refusals += reply.status != 202

    assert refusals > len(documents) / 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"tenant":"CA","entity_type":"loan","entity_id":"1","entity_id":"2"}', 422),
        ('{"tenant":"CA","entity_type":"loan","entity_id":"1","versoin":2}', 422),
        ('{"tenant":"CA","entity_type":"loan","entity_id":"1","version":"2"}', 422),
        ('{"tenant":"CA","entity_type":"loan","entity_id":"1","version":true}', 422),
        (f'{{"tenant":"CA","entity_type":"loan","entity_id":"1","version":{2**63}}}', 422),
        ('{"tenant":"CA","entity_type":"loan","entity_id":"\\u0000"}', 422),
        ('{"tenant":"CA","entity_type":"loan","entity_id":"' + "x" * 70_000 + '"}', 413),
    ],
)
async def test_a_change_by_http_is_taken_at_its_word(invalidation: Invalidation, body: str, status: int) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    async with (
        aiohttp.ClientSession(invalidation.http.url, headers=headers) as session,
        session.post("/v1/entity-changes", data=body) as reply,
    ):
        said = await reply.json()

    assert (reply.status, reply.content_type) == (status, "application/problem+json")
    assert "body" in said["detail"]


async def test_a_change_in_one_unicode_form_purges_what_was_cached_in_the_other(invalidation: Invalidation) -> None:
    composed = Entity(tenant="CA", entity_type="person", entity_id="M\u00fcller-1")
    decomposed = {"tenant": "CA", "entity_type": "person", "entity_id": "Mu\u0308ller-1"}

    for by_http in (True, False):
        await invalidation.remember(composed)
        if by_http:
            (await invalidation.http.call("POST", "/v1/entity-changes", decomposed)).expect(202)
        else:
            await invalidation.send(an_outsiders_event(EntityChanged.type, decomposed, subject="CA/person/x"))
        await until(lambda: invalidation.cached(composed), lambda is_cached: not is_cached)


def _with_extreme_headers(sound: Record) -> list[Record]:
    names = [name for name, _ in sound.headers] + ["ce_correlationid", "ce_causationid", "ce_actor", "ce_traceparent"]
    return [
        replace(sound, headers=(*(each for each in sound.headers if each[0] != name), (name, raw)))
        for name in names
        for raw in HEADER_BYTES
    ]
