"""What is wrong with a body is said in words, after the caller's permission and before anything is done."""

import gzip
import json

import pytest

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}
MANY_MEMBERS = b"{" + b",".join(b'"%x":0' % number for number in range(20_000)) + b',"z":0,"z":0}'
MODEL = b'{"name":"x","model_type":"t"}'


async def test_a_body_without_its_type_is_told_which_header_to_send(door: Door) -> None:
    for headers in ({"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "text/plain"}):
        reply = await door.call("POST", "/registered-models", data=MODEL, headers=headers)

        assert "content-type: application/json" in reply.expect(415)["fix"]
        assert reply.is_problem


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "application/merge-patch+json"])
async def test_json_is_taken_under_each_of_its_types(door: Door, media_type: str) -> None:
    reply = await door.call("POST", "/registered-models", data=MODEL, headers={"Content-Type": media_type})

    reply.expect(201)


async def test_a_compressed_body_is_told_to_come_as_it_is(door: Door) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}

    reply = await door.call("POST", "/registered-models", data=gzip.compress(MODEL), headers=headers)

    assert "content-encoding" in reply.expect(415)["detail"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{'name': 'x'}", "double quotes"),
        (b'{"name": "x",}', "line 1, column"),
        (b'{"name": "x", "name": "y"}', "'name' more than once"),
        (b'{"name": NaN}', "NaN"),
        (b'{"name": "\\u0000"}', "NUL"),
        (b'{"name": "\\ud800"}', "surrogate"),
        (b'{"name": "\xff"}', "UTF-8"),
        (b"[" * 500 + b"]" * 500, "nested deeper"),
        (b"[1]", "no JSON object"),
        (b'"x"', "no JSON object"),
        (b"", "body"),
        (b'{"name": "my model", "model_type": "t"}', "letters a to z"),
        (b'{"name": "x", "model_type": "t", "scope": "globl"}', "'global'"),
        (b'{"name": "x", "model_type": "t", "owner": 7}', "double quotes"),
        (b'{"name": "x", "model_type": "t", "modeltype": "t"}', "did you mean `model_type`"),
    ],
)
async def test_what_is_wrong_with_a_body_is_said_without_a_regular_expression(
    door: Door, body: bytes, says: str
) -> None:
    reply = await door.call("POST", "/registered-models", data=body, headers=JSON)

    assert says in reply.expect(422)["detail"]
    assert not any(sign in reply.body.decode() for sign in ("^[", "{0,99}", "pattern", "valid dictionary"))


async def test_a_field_of_a_transition_is_guessed_too(door: Door) -> None:
    await door.create()
    await door.register()

    reply = await door.call("POST", f"{versions()}/1/transitions", {"stage": "staging"})

    told = {each["location"]: each["message"] for each in reply.expect(422)["errors"]}
    assert "did you mean `to_stage`?" in told["body.stage"]


async def test_a_secret_is_never_shown(door: Door) -> None:
    document = {"actor": "x", "roles": ["viewer"], "expires_at": "2026-04-01T00:00:00Z", "token": {"s": "hush-hush"}}

    reply = await door.http.call("POST", "/api/v1/access/tokens", document)

    reply.expect(422)
    assert b"hush" not in reply.body


async def test_the_errors_of_a_hopeless_body_are_told_in_part(door: Door) -> None:
    await door.create()
    evidence = {"metrics": dict.fromkeys(map(str, range(200)), "x"), "parameters": {key: [] for key in "abcdefgh"}}

    reply = await door.call("POST", versions(), {"digest": "x", "evidence": evidence})

    problem = reply.expect(422)
    assert (len(problem["errors"]), problem["errors_left_out"] > 150) == (20, True)


@pytest.mark.parametrize("path", ["/registered-models", "/registered-models/risk/versions", "/artifacts/manifests"])
async def test_the_permission_is_judged_before_the_body_is_parsed(door: Door, path: str) -> None:
    viewer = {"Authorization": "Bearer eves-token", **JSON}

    refused = await door.call("POST", path, data=MANY_MEMBERS, headers=viewer)
    allowed = await door.call("POST", path, data=MANY_MEMBERS, headers=JSON)

    assert (refused.status, allowed.status) == (403, 422)


@pytest.mark.parametrize("path", ["/api/v1/registry/models", "/api/v1/models/register"])
async def test_the_compatible_apis_judge_the_permission_before_the_body_too(door: Door, path: str) -> None:
    viewer = {"Authorization": "Bearer eves-token", **JSON}

    assert (await door.http.call("POST", path, data=MANY_MEMBERS, headers=viewer)).status == 403
    assert (await door.http.call("POST", path, data=MANY_MEMBERS, headers=JSON)).status == 422


async def test_a_body_that_nothing_reads_is_refused(door: Door) -> None:
    await door.create()
    (await door.call("DELETE", "/registered-models/risk", {"reason": "old"})).expect(422)

    (await door.call("DELETE", "/registered-models/risk", {})).expect(200, 204)


async def test_a_body_beyond_the_limit_of_its_operation_is_refused(door: Door) -> None:
    body = json.dumps({"name": "x", "model_type": "t", "description": "x" * 1_600_000}).encode()

    (await door.call("POST", "/registered-models", data=body, headers=JSON)).expect(413)
