"""The router judges tokens by what the access topic said, without the registry: at once, and for good."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modelyard_events.access import ApiTokenChanged
from modelyard_events.envelope import Envelope
from modelyard_events.topics import ACCESS
from modelyard_runtime.access.principals import hash_of
from modelyard_runtime.access.tokens import new_token

from tests.integration.router.world import Router, World, eventually
from tests.routing_builders import a_document, a_version
from tests.world.state_signing import signed_document

pytestmark = pytest.mark.integration

QUESTION = {"model_type": "risk-scoring"}


def a_token_document(token: str, **facts: Any) -> ApiTokenChanged:
    """A gateway's token for the project `default`, good for an hour."""
    return ApiTokenChanged(
        **{
            "token_id": "t-1",
            "token_hash": f"sha256:{hash_of(token).hex()}",
            "actor": "gate",
            "project": "default",
            "roles": ("gateway",),
            "expires_at": datetime.now(UTC) + timedelta(hours=1),
            **facts,
        }
    )


async def say(world: World, document: ApiTokenChanged, *, sequence: int) -> None:
    """Publish a token's document as the registry does."""
    envelope = Envelope(
        id=f"{document.token_id}-{sequence}",
        source="/modelyard/registry",
        type=document.type,
        subject=f"token/{document.token_id}",
        occurred_at=datetime.now(UTC),
        sequence=sequence,
        generation=1,
    )
    record = signed_document(document, envelope)
    await world.topics.producer.send_and_wait(
        f"{world.topics.prefix}{ACCESS.name}", key=record.key, value=record.value, headers=list(record.headers)
    )


async def status(router: Router, token: str, **attributes: object) -> int:
    """How the router answers a question that comes with this token."""
    return (await router.post("/v1/route", {**QUESTION, **attributes}, token=token))[0]


async def answers(router: Router, token: str, wanted: int) -> None:
    """Wait until the router answers so."""

    async def is_so() -> bool:
        return await status(router, token) == wanted

    await eventually(is_so)


async def test_a_token_counts_from_the_start_until_it_is_revoked_and_never_again(world: World) -> None:
    token = new_token()
    await world.topics.publish(a_document(a_version("everyone")))
    await say(world, a_token_document(token), sequence=1)

    async with world.router() as router:
        first = await status(router, token)
        elsewhere, problem = await router.post("/v1/route", {**QUESTION, "project": "other"}, token=token)
        dump = await router.get("/v1/routes", token=token)
        await say(world, a_token_document(token, revoked=True), sequence=2)
        await answers(router, token, 401)
        # A relay that was paused may wake and say an old document last.
        await say(world, a_token_document(token), sequence=1)
        other = new_token()
        await say(world, a_token_document(other, token_id="t-2"), sequence=1)
        await answers(router, other, 200)

        after = await status(router, token)

    assert (first, elsewhere, dump[0], after) == (200, 403, 403, 401)
    assert problem["permission"] == "predictions:make"
    assert "gateway" in problem["roles"]


async def test_a_token_expires_by_the_clock_and_needs_a_role_that_permits(world: World) -> None:
    brief, viewer, narrowed = new_token(), new_token(), new_token()
    await world.topics.publish(a_document(a_version("everyone")))
    soon = datetime.now(UTC) + timedelta(seconds=3)
    await say(world, a_token_document(brief, token_id="b", expires_at=soon), sequence=1)
    await say(world, a_token_document(viewer, token_id="v", roles=("viewer", "of a newer build")), sequence=1)
    await say(world, a_token_document(narrowed, token_id="n", roles=("admin",), scopes=("audit:read",)), sequence=1)

    async with world.router() as router:
        refused = await status(router, viewer), await status(router, narrowed)
        await answers(router, brief, 401)

    assert refused == (403, 403)


async def test_the_router_is_not_ready_before_it_knows_the_tokens(world: World) -> None:
    async with world.starting_router(topic_prefix="nobody-made-these.") as router:
        await asyncio.sleep(0)
        ready, answer = await router.get("/readyz")

    assert ready == 503
    assert "access" in str(answer)


async def test_an_issued_token_is_asked_to_come_again_while_tokens_are_not_known_yet(world: World) -> None:
    async with world.starting_router(topic_prefix="nobody-made-these.") as router:
        early, problem = await router.post("/v1/route", QUESTION, token=new_token())
        listed, _ = await router.get("/v1/routes", token=new_token())
        without, _ = await router.post("/v1/route", QUESTION, token=None)

    assert (early, listed, without) == (503, 503, 401)
    assert "Retry-After" in problem["fix"]
