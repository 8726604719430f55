"""`If-Match` on every write of a model or a version: what has changed meanwhile is not changed unseen."""

from typing import Any

import pytest

from tests.integration.registry.door import ENDPOINT, Door, versions

pytestmark = pytest.mark.integration

ONE = f"{versions()}/1"
WRITES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("PATCH", ONE, {"description": "new"}),
    ("PUT", f"{ONE}/build-status", {"build_status": "evaluating"}),
    ("PUT", f"{ONE}/review-status", {"review_status": "approved"}),
    ("POST", f"{ONE}/transitions", {"to_stage": "staging"}),
    ("PUT", f"{ONE}/quarantine", {"quarantined": True}),
    ("PUT", f"{ONE}/deployments/production", {"url": ENDPOINT, "health": "healthy"}),
    ("PATCH", "/registered-models/risk", {"description": "new"}),
    ("DELETE", "/registered-models/risk", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_write_for_another_revision_is_refused_and_one_for_this_is_made(
    door: Door, method: str, path: str, body: dict[str, Any] | None
) -> None:
    await door.create()
    await door.register()
    facts = len(await door.facts())

    refused = await door.call(method, path, body, headers={"If-Match": '"7"'})
    facts_after = len(await door.facts())
    accepted = await door.call(method, path, body, headers={"If-Match": '"1"'})

    assert (refused.status, refused.is_problem, refused.document["revision"]) == (412, True, 1)
    assert facts_after == facts
    assert accepted.status in (200, 201)


async def test_a_version_is_registered_only_under_the_model_that_was_seen(door: Door) -> None:
    await door.create()
    document = {"digest": await door.upload()}

    refused = await door.call("POST", versions(), document, headers={"If-Match": '"2"'})
    accepted = await door.call("POST", versions(), document, headers={"If-Match": '"1"'})

    assert (refused.status, accepted.status) == (412, 201)
    assert (accepted.document["number"], accepted.etag) == (1, '"1"')


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_a_write_for_what_is_not_there_is_a_plain_404(
    door: Door, method: str, path: str, body: dict[str, Any] | None
) -> None:
    reply = await door.call(method, path, body, headers={"If-Match": '"1"'})

    assert reply.status == 404
    assert reply.is_problem
