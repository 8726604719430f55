"""Changes of entities prove who sent them: a forged one purges nothing, and is parked with its reason."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from modelyard_events.access import SigningKeyChanged
from modelyard_events.codec import Record
from modelyard_events.entities import EntityChanged
from modelyard_events.envelope import Envelope
from modelyard_events.refusals import AccessRefused
from modelyard_events.topics import ACCESS, ACCESS_REFUSALS, ENTITY_CHANGES, topic_named
from modelyard_prediction_cache import Entity
from modelyard_runtime.clock import utc_now
from modelyard_runtime.ids import new_uuid7
from modelyard_stack import Stack

from tests.integration.cache_invalidator.conftest import Invalidation, causes, running
from tests.world.outsider import an_outsiders_event
from tests.world.signing import Signer, a_signer
from tests.world.state_signing import signed_document
from tests.world.waiting import until

pytestmark = pytest.mark.integration

LOAN = Entity(tenant="CA", entity_type="loan", entity_id="4711")


@pytest.fixture
async def guarded(stack: Stack, redis_url: str, topic_prefix: str) -> AsyncIterator[Invalidation]:
    """A cache invalidator that takes signed changes only."""
    async with running(stack, redis_url=redis_url, topic_prefix=topic_prefix, open_to=None) as opened:
        yield opened


async def tell_of(invalidation: Invalidation, signer: Signer, *, sequence: int = 1, **facts: Any) -> None:
    """Say on the access topic what the registry would say of a key."""
    document = SigningKeyChanged.model_validate(
        {
            "key_id": signer.key_id,
            "public_key": signer.public_key,
            "actor": "loan-book",
            "project": "default",
            "topics": (ENTITY_CHANGES.name,),
            "tenants": ("CA",),
            "expires_at": utc_now() + timedelta(hours=1),
            **facts,
        }
    )
    envelope = Envelope(
        id=new_uuid7(),
        source="/modelyard/registry",
        type=document.type,
        subject=f"key/{signer.key_id}",
        occurred_at=utc_now(),
        sequence=sequence,
        generation=1,
    )
    record = signed_document(document, envelope)
    await invalidation.producer.send_and_wait(
        f"{invalidation.settings.topic_prefix}{ACCESS.name}",
        key=record.key,
        value=record.value,
        headers=list(record.headers),
    )


def a_change(*, tenant: str = "CA", structured: bool = False) -> Record:
    data = {"tenant": tenant, "entity_type": "loan", "entity_id": "4711"}
    return an_outsiders_event(EntityChanged.type, data, subject=f"{tenant}/loan/4711", structured=structured)


async def parked(invalidation: Invalidation, *, count: int) -> list[tuple[bytes, str]]:
    records = await until(
        lambda: invalidation.topics.records(topic_named(ENTITY_CHANGES.dead_letter_name)),
        lambda found: len(found) >= count,
    )
    return [(record.value, dict(record.headers)["dead_letter_reason"].decode()) for record in records]


@pytest.mark.parametrize("structured", [False, True])
async def test_a_signed_change_purges_and_says_whose_it_was(guarded: Invalidation, structured: bool) -> None:
    signer = a_signer(new_uuid7())
    await tell_of(guarded, signer)
    await guarded.remember(LOAN)

    await guarded.send(signer.sign(a_change(structured=structured)))

    (purge,) = await guarded.purges(count=1)
    assert purge.envelope.actor == "default/loan-book"
    assert not await guarded.cached(LOAN)


async def test_a_change_is_proved_by_a_key_that_becomes_known_a_moment_later(guarded: Invalidation) -> None:
    signer = a_signer(new_uuid7())
    await guarded.remember(LOAN)

    await guarded.send(signer.sign(a_change()))
    await tell_of(guarded, signer)

    await guarded.purges(count=1)
    assert not await guarded.cached(LOAN)


async def test_a_forged_change_purges_nothing_and_is_parked_once(guarded: Invalidation) -> None:
    signer, revoked, stranger = (a_signer(new_uuid7()) for _ in range(3))
    await tell_of(guarded, signer)
    await tell_of(guarded, revoked)
    await tell_of(guarded, revoked, sequence=2, revoked=True)
    await guarded.remember(LOAN)
    genuine = signer.sign(a_change())
    forged = {
        "unsigned": (a_change(), "sender_unproved"),
        "claiming to be somebody": (
            Record(key=b"CA/loan/4711", value=a_change().value, headers=(*a_change().headers, ("ce_actor", b"ada"))),
            "sender_unproved",
        ),
        "by nobody's key": (stranger.sign(a_change()), "sender_unproved"),
        "with a changed key": (
            Record(key=b"CA/loan/1", value=genuine.value, headers=genuine.headers),
            "sender_unproved",
        ),
        "by a revoked key": (revoked.sign(a_change()), "sender_not_permitted"),
        "about another's tenant": (signer.sign(a_change(tenant="NY")), "sender_not_permitted"),
    }

    for record, _ in forged.values():
        await guarded.send(record)

    seen = await parked(guarded, count=len(forged))
    assert sorted(seen) == sorted((record.value, reason) for record, reason in forged.values())
    assert await guarded.cached(LOAN)
    (refused,) = await until(lambda: guarded.topics.published(ACCESS_REFUSALS), lambda found: bool(found))
    assert isinstance(refused.event, AccessRefused)
    assert (refused.event.actor, refused.event.permission) == ("default/loan-book", "entities:change")
    assert "was revoked" in refused.event.reason
    await guarded.send(genuine)
    assert len(causes(await guarded.purges(count=1))) == 1
    assert not await guarded.cached(LOAN)
