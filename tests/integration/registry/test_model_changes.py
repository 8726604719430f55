"""Registered models that change: described otherwise, renamed, deleted and restored, each on record."""

import asyncio
from typing import Any

import pytest

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration

RISK = "/registered-models/risk"


async def test_a_model_is_described_otherwise_with_before_and_after_on_record(door: Door) -> None:
    await door.create(owner="ann", tags={"team": "risk", "old": "1"})

    patched = (
        await door.call("PATCH", RISK, {"description": "new", "owner": None, "team": "lending", "tags": {"old": None}})
    ).expect(200)

    read = (await door.call("GET", RISK)).expect(200)
    fact = (await door.facts())[-1]
    entry = (await door.audit())[-1]
    assert read == patched
    assert (patched["description"], patched["owner"], patched["team"]) == ("new", None, "lending")
    assert (patched["tags"], patched["revision"]) == ({"team": "risk"}, 2)
    assert (fact["type"], fact["sequence"]) == ("registered_model.updated.v1", 2)
    assert (fact["event"]["before"]["owner"], fact["event"]["after"]["owner"]) == ("ann", None)
    assert fact["event"]["after"]["tags"] == {"team": "risk"}
    assert entry["action"] == "registered_model.updated"
    assert '"old": "1"' in entry["before"] if isinstance(entry["before"], str) else entry["before"]["tags"]["old"]


async def test_a_change_that_changes_nothing_leaves_no_trace(door: Door) -> None:
    created = await door.create(owner="ann")
    marks = await door.marks()

    again = [(await door.call("PATCH", RISK, body)).expect(200) for body in ({}, {"owner": "ann"})]

    assert again == [created] * 2
    assert await door.marks() == marks


async def test_another_primary_metric_brings_its_direction(door: Door) -> None:
    await door.create(primary_metric="auc")

    patched = (await door.call("PATCH", RISK, {"primary_metric": "rmse"})).expect(200)

    assert (patched["primary_metric"], patched["higher_is_better"]) == ("rmse", False)


@pytest.mark.parametrize(
    "body",
    [{"name": "other"}, {"scope": "global"}, {"owner": ""}, {"owner": 7}, {"tags": ["a"]}, {"tags": {"": "a"}},
     {"tags": {str(n): "x" for n in range(101)}}, {"description": "\ud800"}, {"description": "a\u0000"}, []],
)  # fmt: skip
async def test_a_malformed_change_is_refused_and_changes_nothing(door: Door, body: object) -> None:
    await door.create()
    marks = await door.marks()

    reply = await door.call("PATCH", RISK, body)

    assert reply.status == 422
    assert reply.is_problem
    assert await door.marks() == marks


async def test_tags_stay_within_their_bound_over_several_changes(door: Door) -> None:
    await door.create(tags={str(n): "x" for n in range(100)})

    assert (await door.call("PATCH", RISK, {"tags": {"one more": "x"}})).status == 422
    assert (await door.call("PATCH", RISK, {"tags": {"one more": "x", "0": None}})).status == 200


async def test_of_two_changes_for_one_revision_only_the_first_is_made(door: Door) -> None:
    await door.create()
    seen = {"If-Match": '"1"'}

    replies = await asyncio.gather(*(door.call("PATCH", RISK, {"description": str(n)}, headers=seen) for n in range(8)))

    statuses = sorted(reply.status for reply in replies)
    late = next(reply for reply in replies if reply.status == 412)
    assert statuses == [200] + [412] * 7
    assert late.is_problem
    assert late.document["revision"] == 2
    assert (await door.actions()).count("registered_model.updated.refused") == 7


@pytest.mark.parametrize(
    ("tag", "status"),
    [('"1"', 200), ("*", 200), ('"7", "1"', 200), ('"2"', 412), ("1", 422), ('W/"1"', 422), ('"x"', 422)],
)
async def test_if_match_takes_the_etag_that_was_given(door: Door, tag: str, status: int) -> None:
    await door.create()

    reply = await door.call("PATCH", RISK, {"description": "new"}, headers={"If-Match": tag})

    assert reply.status == status


async def test_the_etag_of_a_read_is_taken_by_the_next_change_and_only_once(door: Door) -> None:
    await door.create()
    read = await door.call("GET", RISK)
    seen = {"If-Match": str(read.etag)}

    first = await door.call("PATCH", RISK, {"owner": "ann"}, headers=seen)
    late = await door.call("DELETE", RISK, headers=seen)

    assert (read.etag, first.status, first.etag) == ('"1"', 200, '"2"')
    assert late.status == 412


async def test_if_match_is_not_ignored_where_it_means_nothing(door: Door) -> None:
    document = {"name": "risk", "model_type": "risk_scoring"}

    reply = await door.call("POST", "/registered-models", document, headers={"If-Match": '"1"'})

    assert reply.status == 422
    assert await door.marks() == (0, 0)


async def test_the_same_key_again_answers_the_first_change_though_the_revision_has_moved_on(door: Door) -> None:
    await door.create()
    headers = {"If-Match": '"1"', "Idempotency-Key": f"{door.project}-1"}

    first = (await door.call("PATCH", RISK, {"description": "new"}, headers=headers)).expect(200)
    again = await door.call("PATCH", RISK, {"description": "new"}, headers=headers)

    assert (again.expect(200), again.etag) == (first, '"2"')
    assert (await door.actions()).count("registered_model.updated") == 1


async def test_a_model_without_versions_is_renamed_and_its_old_name_points_to_the_new(door: Door) -> None:
    created = await door.create("rsik")

    renamed = (await door.call("POST", "/registered-models/rsik/rename", {"name": "risk"})).expect(200)

    old = await door.call("GET", "/registered-models/rsik")
    told = [(fact["type"], fact["key"].split("/")[1], fact["sequence"]) for fact in await door.facts()]
    assert (renamed["name"], renamed["registered_model_id"]) == ("risk", created["registered_model_id"])
    assert (old.status, old.document["renamed_to"]) == (404, "risk")
    assert told[1:] == [("registered_model.renamed.v1", "rsik", 2), ("registered_model.renamed.v1", "risk", 3)]
    assert (await door.actions())[-1] == "registered_model.renamed"
    assert (await door.register("risk"))["number"] == 1


async def test_a_former_name_is_for_nobody_else_but_may_be_taken_back(door: Door) -> None:
    await door.create("a")
    await door.create("z")
    (await door.call("POST", "/registered-models/a/rename", {"name": "b"})).expect(200)

    created = await door.call("POST", "/registered-models", {"name": "a", "model_type": "risk_scoring"})
    renamed = await door.call("POST", "/registered-models/z/rename", {"name": "a"})
    taken = await door.call("POST", "/registered-models/z/rename", {"name": "b"})
    back = await door.call("POST", "/registered-models/b/rename", {"name": "a"})

    assert [reply.status for reply in (created, renamed, taken, back)] == [409, 409, 409, 200]
    assert (await door.call("GET", "/registered-models/b")).document["renamed_to"] == "a"
    sequences = [fact["sequence"] for fact in await door.facts() if fact["key"].endswith("/a")]
    assert sequences == [1, 2, 5]


async def test_a_model_takes_its_versions_aliases_and_history_along_to_its_new_name(door: Door) -> None:
    await door.create("rsik")
    for _ in range(2):
        await door.register("rsik")
    (await door.move(1, "staging", name="rsik")).expect(200)
    (await door.call("PUT", "/registered-models/rsik/aliases/best", {"number": 2})).expect(200)
    (await door.call("PUT", "/registered-models/rsik/policy", {"champion": "manual"})).expect(200)

    (await door.call("POST", "/registered-models/rsik/rename", {"name": "risk"})).expect(200)
    third = await door.register(evidence={"metrics": {"auc": 0.9}, "parent": {"model": "rsik", "number": 1}})

    model = (await door.call("GET", RISK)).expect(200)
    moves = (await door.call("GET", f"{versions()}/1/transitions")).expect(200)["items"]
    policy = (await door.call("GET", f"{RISK}/policy")).expect(200)
    told = [(fact["key"].split("/")[-1], fact["sequence"]) for fact in await door.facts()]
    old, new = ([seq for key, seq in told if key == name] for name in ("rsik", "risk"))
    assert (model["aliases"], third["number"], await door.stage_of(1)) == ({"best": 2}, 3, "staging")
    assert ([move["to_stage"] for move in moves], policy["policy"]["champion"]) == (["staging"], "manual")
    assert old + new == list(range(1, len(told) + 1))
    assert (await door.call("GET", f"{versions('rsik')}/1")).document["renamed_to"] == "risk"
    assert (await door.move(1, "development")).status == 200


async def test_a_model_that_serves_keeps_its_name_until_another_has_taken_its_place(door: Door) -> None:
    await door.create()
    await door.promote()
    await door.create("next")

    refused = await door.call("POST", f"{RISK}/rename", {"name": "other"})
    await door.promote(name="next", replaces="risk")
    (await door.move(1, "deprecated")).expect(200)
    renamed = await door.call("POST", f"{RISK}/rename", {"name": "other"})

    assert (refused.status, refused.document["type"]) == (409, "/problems/rename-refused")
    assert refused.document["serving"] == ["version 1 serves"]
    assert "registered_model.renamed.refused" in await door.actions()
    assert (renamed.status, await door.stage_of(1, name="other")) == (200, "deprecated")


async def test_two_models_do_not_end_up_with_one_name(door: Door) -> None:
    for name in ("a", "b"):
        await door.create(name)
        await door.register(name)

    replies = await asyncio.gather(
        *(door.call("POST", f"/registered-models/{name}/rename", {"name": "c"}) for name in ("a", "b"))
    )

    assert sorted(reply.status for reply in replies) == [200, 409]
    assert await names(door) == ["b", "c"] if replies[0].status == 200 else ["a", "c"]


async def test_a_deleted_model_is_gone_with_its_versions_until_it_is_restored(door: Door) -> None:
    await door.create()
    await door.register(run_id="run-1")
    paths = (RISK, versions(), f"{versions()}/1", f"{versions()}/latest", f"{versions()}/1.0.0")
    before = [(await door.call("GET", path)).expect(200) for path in paths[2:]]

    deleted = (await door.call("DELETE", RISK, query={"reason": "unused"})).expect(200)

    assert deleted["deleted_at"] is not None
    assert [(await door.call("GET", path)).status for path in paths] == [404] * len(paths)
    assert (await door.call("POST", versions(), {"digest": await door.upload()})).status == 404
    assert (await door.call("PATCH", RISK, {"owner": "bob"})).status == 404
    assert (await door.move(1, "staging")).status == 404
    assert await names(door) == []
    assert await names(door, deleted="true") == ["risk"]
    assert (await door.call("POST", "/registered-models", {"name": "risk", "model_type": "x"})).status == 409

    restored = (await door.call("POST", f"{RISK}/restore", {"reason": "needed"})).expect(200)

    assert (restored["deleted_at"], restored["revision"]) == (None, 3)
    assert [(await door.call("GET", path)).expect(200) for path in paths[2:]] == before
    assert await names(door) == ["risk"]
    assert (await door.types_of_facts())[-2:] == ["registered_model.deleted", "registered_model.restored"]
    changes = [entry for entry in await door.audit() if entry["action"].endswith(("deleted", "restored"))]
    assert [entry["reason"] for entry in changes] == ["unused", "needed"]


async def test_a_model_that_serves_is_not_deleted(door: Door) -> None:
    await door.create()
    await door.promote()

    reply = await door.call("DELETE", RISK)

    assert reply.status == 409
    assert reply.document["serving"] == ["version 1 serves"]
    assert (await door.champion()) == 1


async def test_a_model_in_a_running_experiment_is_not_deleted(door: Door) -> None:
    await door.create()
    await door.promote()
    await door.create("rival")
    await door.register("rival", digest=await door.upload(b"a rival"))
    await door.deploy(1, name="rival")
    (await door.move(1, "staging", name="rival")).expect(200)
    (await door.move(1, "canary", name="rival")).expect(200)
    experiment = {
        "key": "trial",
        "model_type": "risk_scoring",
        "treatment": {"model": "rival", "number": 1, "share_bp": 1_000},
    }
    (await door.call("POST", "/experiments", experiment)).expect(201)

    refused = await door.call("DELETE", "/registered-models/rival")
    (await door.call("POST", "/experiments/trial/stop", {"reason": "enough"})).expect(200)
    (await door.move(1, "staging", name="rival")).expect(200)
    accepted = await door.call("DELETE", "/registered-models/rival")

    assert (refused.status, refused.document["serving"]) == (
        409,
        ["version 1 serves", "experiment trial is running"],
    )
    assert accepted.status == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"owner": "ann"}),
        ("POST", "/rename", {"name": "b"}),
        ("DELETE", "", None),
        ("POST", "/restore", {}),
    ],
)
async def test_a_model_that_is_not_there_cannot_be_changed(door: Door, method: str, path: str, body: Any) -> None:
    reply = await door.call(method, f"/registered-models/nobody{path}", body)

    assert reply.status == 404
    assert reply.is_problem


async def names(door: Door, **query: str) -> list[str]:
    page = (await door.call("GET", "/registered-models", query=query)).expect(200)
    return [model["name"] for model in page["items"]]
