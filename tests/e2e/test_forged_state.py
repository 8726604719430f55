"""Somebody who can write to Kafka, and is nobody's registry, changes neither who may do what nor who answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from modelyard_events.access import ApiTokenChanged
from modelyard_events.codec import encode
from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_events.routes import RouteChanged
from modelyard_events.topics import ACCESS, ROUTES, Topic
from modelyard_runtime.access.principals import hash_of
from modelyard_runtime.access.tokens import new_token

from tests.world.lending import INDUSTRY_MODEL, MODEL_TYPE, Lending
from tests.world.published import Published
from tests.world.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.e2e]

NOBODY = "http://127.0.0.1:9"


async def forge(lending: Lending, topic: Topic, event: Event, *, key: str, sequence: int) -> None:
    """Write a document as the registry would, but for its signature."""
    envelope = Envelope(
        id=f"forged-{key}",
        source="/modelyard/registry",
        type=event.type,
        subject=key,
        occurred_at=datetime.now(UTC),
        sequence=sequence,
        generation=1,
    )
    await lending.world.send_as_it_is(topic, encode(event, envelope))


async def last_route(lending: Lending) -> Published:
    """The last record of the project's route."""
    found = await lending.world.topics.published(ROUTES)
    return [each for each in found if each.key == f"{lending.project}/{MODEL_TYPE}"][-1]


async def test_a_forged_route_moves_no_prediction_and_is_written_over(lending: Lending) -> None:
    genuine = await last_route(lending)
    assert isinstance(genuine.event, RouteChanged)
    versions = tuple(
        each.model_copy(update={"endpoint": each.endpoint and each.endpoint.model_copy(update={"url": NOBODY})})
        for each in genuine.event.versions
    )
    forged = genuine.event.model_copy(update={"versions": versions, "revision": genuine.sequence + 1_000})

    await forge(lending, ROUTES, forged, key=genuine.key, sequence=genuine.sequence + 1_000)
    await until(lambda: last_route(lending), lambda last: last.sequence == genuine.sequence)

    assert (await lending.predict("loan-1")).answered_by == f"{INDUSTRY_MODEL}/1"
    number = await lending.release_industry("v2")
    await lending.settle()
    assert (await lending.predict("loan-2")).answered_by == f"{INDUSTRY_MODEL}/{number}"


async def test_a_forged_token_is_nobodys_at_every_service(lending: Lending) -> None:
    token = new_token()
    document = ApiTokenChanged(
        token_id=f"forged-{lending.project}",
        token_hash=f"sha256:{hash_of(token).hex()}",
        actor="mallory",
        project="*",
        roles=("admin",),
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )

    await forge(lending, ACCESS, document, key=f"token/{document.token_id}", sequence=1_000)

    async def is_refused_to_be_believed() -> dict[str, bool]:
        """Which readers say that they found the record and ignore it."""
        found = {}
        for service in ("router", "cache_invalidator"):
            reply = await lending.world.http(service, actor=None).call("GET", "/readyz")
            checks = {each["name"]: each for each in reply.expect(200)["checks"]}
            found[service] = checks["access"]["degraded"]
        return found

    await until(is_refused_to_be_believed, lambda found: all(found.values()))
    for service, path in (
        ("registry", f"/api/v1/projects/{lending.project}/registered-models"),
        ("router", "/v1/routes"),
        ("cache_invalidator", "/v1/entity-changes"),
    ):
        stranger = replace(lending.world.http(service, actor=None), token=token)
        method = "POST" if service == "cache_invalidator" else "GET"
        change = {"tenant": "CA", "entity_type": "loan", "entity_id": "1"} if method == "POST" else None
        assert (await stranger.call(method, path, change)).status == 401, service
