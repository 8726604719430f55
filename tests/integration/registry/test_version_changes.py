"""Versions that people describe, and their build and review statuses, beside stages and evidence that stay."""

from typing import Any

import pytest

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration

ONE = f"{versions()}/1"
EVIDENCE: dict[str, Any] = {
    "metrics": {"auc": 0.9},
    "description": "as trained",
    "tags": {"purpose": "pricing"},
    "model_card": {"limitations": ["Only trained on loans of 2018."]},
    "custom_metadata": {"ticket": {"id": 17, "open": True}},
}


async def a_version(door: Door, **facts: Any) -> dict[str, Any]:
    await door.create()
    return await door.register(evidence=EVIDENCE, **facts)


async def test_a_version_begins_as_its_evidence_describes_it(door: Door) -> None:
    version = await a_version(door)

    assert (version["description"], version["tags"]) == ("as trained", {"purpose": "pricing"})
    assert version["model_card"]["limitations"] == ["Only trained on loans of 2018."]
    assert version["custom_metadata"] == EVIDENCE["custom_metadata"]
    assert (version["build_status"], version["review_status"]) == ("ready", "pending_review")
    assert version["updated_at"] == version["created_at"]


async def test_a_version_is_described_otherwise_while_its_evidence_stays(door: Door) -> None:
    version = await a_version(door)
    patch = {
        "description": None,
        "tags": {"purpose": None, "tier": "1"},
        "model_card": {"preprocessing": "scaled", "ethical_considerations": {"bias_audit_done": True}},
        "custom_metadata": {"ticket": {"open": False}},
    }

    patched = (await door.call("PATCH", ONE, patch)).expect(200)

    fact, entry = (await door.facts())[-1], (await door.audit())[-1]
    assert (patched["description"], patched["tags"], patched["revision"]) == (None, {"tier": "1"}, 2)
    assert patched["model_card"]["limitations"] == ["Only trained on loans of 2018."]
    assert patched["model_card"]["ethical_considerations"] == {"bias_audit_done": True}
    assert patched["custom_metadata"] == {"ticket": {"id": 17, "open": False}}
    assert patched["evidence"] == version["evidence"]
    assert patched["updated_at"] > version["updated_at"]
    assert (await door.call("GET", ONE)).expect(200) == patched
    assert fact["type"] == "model_version.updated.v1"
    assert (fact["event"]["before"]["description"], fact["event"]["after"]["tags"]) == ("as trained", {"tier": "1"})
    assert (entry["action"], entry["digest"]) == ("model_version.updated", version["digest"])


@pytest.mark.parametrize(
    "body",
    [{"digest": "sha256:" + "0" * 64}, {"evidence": {}}, {"metrics": {"auc": 1.0}}, {"stage": "production"},
     {"model_card": {"colour": "red"}}, {"model_card": {"limitations": "none"}}, {"tags": {"a": 1}},
     {"custom_metadata": []}, {"custom_metadata": {"a": "\u0000"}}],
)  # fmt: skip
async def test_what_was_measured_cannot_be_changed(door: Door, body: object) -> None:
    version = await a_version(door)
    marks = await door.marks()

    reply = await door.call("PATCH", ONE, body)

    assert reply.status == 422
    assert reply.is_problem
    assert (await door.call("GET", ONE)).expect(200) == version
    assert await door.marks() == marks


async def test_custom_metadata_stays_within_its_bounds_over_several_changes(door: Door) -> None:
    await a_version(door)
    large = "x" * 60_000

    first = await door.call("PATCH", ONE, {"custom_metadata": {"a": large}})
    second = await door.call("PATCH", ONE, {"custom_metadata": {"b": large}})

    assert (first.status, second.status) == (200, 422)


async def test_a_version_is_changed_only_while_it_is_what_was_seen(door: Door) -> None:
    await a_version(door)
    read = await door.call("GET", ONE)
    (await door.move(1, "staging")).expect(200)

    late = await door.call("PATCH", ONE, {"description": "late"}, headers={"If-Match": str(read.etag)})

    assert (late.status, late.document["revision"]) == (412, 2)
    assert (await door.actions())[-1] == "model_version.updated.refused"


async def test_a_build_status_goes_its_way_and_leaves_the_stage_alone(door: Door) -> None:
    await a_version(door, build_status="training")

    for status in ("evaluating", "ready", "ready"):
        changed = (await door.call("PUT", f"{ONE}/build-status", {"build_status": status})).expect(200)

    told = [fact["event"] for fact in await door.facts() if "build_status_changed" in fact["type"]]
    assert [(each["before"], each["after"]) for each in told] == [("training", "evaluating"), ("evaluating", "ready")]
    assert (changed["build_status"], changed["stage"], changed["revision"]) == ("ready", "development", 3)
    assert (await door.actions())[-2:] == ["model_version.build_status_changed"] * 2


async def test_a_failed_build_is_made_again_before_it_is_ready(door: Door) -> None:
    await a_version(door)
    (await door.call("PUT", f"{ONE}/build-status", {"build_status": "failed", "reason": "NaN"})).expect(200)

    reply = await door.call("PUT", f"{ONE}/build-status", {"build_status": "ready"})

    assert (reply.status, reply.document["possible"]) == (409, ["training", "evaluating"])
    assert (await door.actions())[-1] == "model_version.build_status_changed.refused"


async def test_a_review_is_recorded_with_who_and_why(door: Door) -> None:
    await a_version(door)

    for status in ("approved", "rejected"):
        changed = (await door.call("PUT", f"{ONE}/review-status", {"review_status": status, "reason": "seen"})).expect(
            200
        )

    fact, entry = (await door.facts())[-1], (await door.audit())[-1]
    assert (changed["review_status"], changed["stage"]) == ("rejected", "development")
    assert (fact["event"]["before"], fact["event"]["after"]) == ("approved", "rejected")
    assert (entry["action"], entry["reason"]) == ("model_version.review_status_changed", "seen")
    assert (entry["before"], entry["after"]) == ({"review_status": "approved"}, {"review_status": "rejected"})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("build-status", {"build_status": "done"}),
        ("review-status", {"review_status": "deployed"}),
        ("build-status", {}),
    ],
)
async def test_an_unknown_status_is_refused(door: Door, path: str, body: object) -> None:
    await a_version(door)

    assert (await door.call("PUT", f"{ONE}/{path}", body)).status == 422
    assert (await door.call("PUT", f"{versions()}/9/{path}", {"build_status": "ready"})).status in (404, 422)


async def test_a_key_that_comes_again_changes_a_status_once(door: Door) -> None:
    await a_version(door)
    headers = {"Idempotency-Key": f"{door.project}-review"}
    body = {"review_status": "approved"}

    first = (await door.call("PUT", f"{ONE}/review-status", body, headers=headers)).expect(200)
    (await door.call("PUT", f"{ONE}/review-status", {"review_status": "rejected"})).expect(200)
    again = (await door.call("PUT", f"{ONE}/review-status", body, headers=headers)).expect(200)

    assert again == first
    assert (await door.call("GET", ONE)).expect(200)["review_status"] == "rejected"
