"""Other registries' APIs take what they are sent at its word: no tag is lost, and nothing of it is a server error."""

from typing import Any

import pytest

from tests.integration.registry.door import Document, Door

pytestmark = pytest.mark.integration

BY_ID = "/api/v1/registry/models"
BY_NAME = "/api/v1/models"
JSON = {"Content-Type": "application/json"}


async def a_model(door: Door, **facts: object) -> Document:
    body = {"name": f"{door.project}-m", "project_id": door.project, **facts}
    created: Document = (await door.http.call("POST", BY_ID, body)).expect(201)
    return created


async def a_version(door: Door, model: Document, **facts: object) -> Document:
    created: Document = (await door.http.call("POST", f"{BY_ID}/{model['id']}/versions", dict(facts))).expect(201)
    return created


@pytest.mark.parametrize("tags", [["team=risk", "team=fraud"], ["team", "team=risk"], ["urgent", "urgent"]])
async def test_a_tag_that_is_there_twice_is_refused_with_both_values(door: Door, tags: list[str]) -> None:
    model = await a_model(door)
    body = {"name": f"{door.project}-n", "project_id": door.project, "tags": tags}

    replies = [
        await door.http.call("POST", BY_ID, body),
        await door.http.call("PATCH", f"{BY_ID}/{model['id']}", {"tags": tags}),
        await door.http.call("POST", f"{BY_ID}/{model['id']}/versions", {"tags": tags}),
    ]

    assert [reply.status for reply in replies] == [422] * 3
    assert "is there twice" in replies[0].document["detail"]


@pytest.mark.parametrize("tag", ["=x", "=", ""])
async def test_a_tag_without_a_name_is_refused_when_it_is_made_and_later(door: Door, tag: str) -> None:
    model = await a_model(door)
    version = await a_version(door, model)
    body = {"name": f"{door.project}-n", "project_id": door.project, "tags": [tag]}

    replies = [
        await door.http.call("POST", BY_ID, body),
        await door.http.call("PATCH", f"{BY_ID}/{model['id']}", {"tags": [tag]}),
        await door.http.call("PATCH", f"{BY_ID}/versions/{version['id']}", {"tags": [tag]}),
        await door.http.call("POST", f"{BY_ID}/{model['id']}/versions", {"tags": [tag]}),
    ]

    assert [reply.status for reply in replies] == [422] * 4


async def test_all_tags_are_replaced_by_as_many_others_in_one_change(door: Door) -> None:
    first, second = ([f"{word}{number}=1" for number in range(100)] for word in ("a", "b"))
    model = await a_model(door, tags=first)
    version = await a_version(door, model, tags=first)

    of_model = await door.http.call("PATCH", f"{BY_ID}/{model['id']}", {"tags": second})
    of_version = await door.http.call("PATCH", f"{BY_ID}/versions/{version['id']}", {"tags": second})

    assert (of_model.expect(200)["tags"], of_version.expect(200)["tags"]) == (sorted(second), sorted(second))


@pytest.mark.parametrize(
    "facts",
    [
        {"metrics": {"m" * 201: 1}},
        {"metrics": {"a": True}},
        {"metrics": {"a": "1"}},
        {"metrics": {"a": 10**39}, "metadata": {"a": {"b": {"c": [[[[[[[[[]]]]]]]]]}}}},
        {"metadata": {"artifact_version_id": "azureml:1"}},
        {"tags": ["t" * 201]},
        {"version": "1.\u0660.0"},
        {"version": ""},
        {"run_id": ""},
    ],
)
async def test_a_version_beyond_the_bounds_is_refused(door: Door, facts: dict[str, Any]) -> None:
    model = await a_model(door)

    reply = await door.http.call("POST", f"{BY_ID}/{model['id']}/versions", facts)

    assert (reply.status, reply.is_problem) == (422, True), str(reply)


@pytest.mark.parametrize(
    "body",
    [
        b'{"metrics": {"a": NaN}}', b'{"metrics": {"a": -Infinity}}', b'{"metrics": {"a": 1e999}}',
        b'{"artifact_version_id": "a\\u0000"}', b'{"tags": ["\\ud800"]}', b'{"metadata": {"\\udfff": 1}}',
        b'{"tags": ["a"], "tags": ["b"]}',
    ],
)  # fmt: skip
async def test_what_json_or_the_database_does_not_have_is_refused(door: Door, body: bytes) -> None:
    model = await a_model(door)

    reply = await door.http.call("POST", f"{BY_ID}/{model['id']}/versions", data=body, headers=JSON)

    assert (reply.status, reply.is_problem) == (422, True), str(reply)


async def test_features_by_name_are_there_once(door: Door) -> None:
    body = {"name": "credit", "version": "v1.0.0", "project_id": door.project, "features": ["x", "y", "x"]}

    reply = await door.http.call("POST", f"{BY_NAME}/register", body)

    assert "'x' twice" in reply.expect(422)["detail"]
