"""No parameter is overlooked or chosen among: unknown ones, and those that are there twice, are refused by name."""

from uuid import uuid4

import pytest
from modelyard_registry.access.gate import Operation, operations_of
from modelyard_registry.app import build_app
from modelyard_registry.settings import Settings

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration

APP = build_app(Settings(state_unsigned="allow"))
OPERATIONS = list(operations_of(APP))
DOCUMENT = APP.openapi()
P = "/api/v1/projects/{project}"


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def url_of(operation: Operation, door: Door) -> str:
    """An address of that operation, about things that need not be there."""
    path = operation.path.replace("{project}", door.project).replace("{digest}", f"sha256:{'0' * 64}")
    while "{" in path:
        before, _, rest = path.partition("{")
        name, _, after = rest.partition("}")
        path = before + (str(uuid4()) if name.endswith("id") else "1") + after
    return path


def declared(operation: Operation) -> list[dict[str, object]]:
    """The query parameters that the OpenAPI document has."""
    method = "get" if operation.method == "HEAD" else operation.method.lower()
    described = DOCUMENT["paths"][operation.path][method]
    return [each for each in described.get("parameters", []) if each["in"] == "query"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
async def test_every_operation_refuses_a_parameter_that_it_does_not_have_and_names_those_that_it_has(
    operation: Operation, door: Door
) -> None:
    reply = await door.http.call(operation.method, f"{url_of(operation, door)}?zz=1")

    assert (reply.status, reply.is_problem) == (422, True), str(reply)
    assert "query.zz" in reply.document["detail"]
    for each in declared(operation):
        assert str(each["name"]) in reply.document["fix"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=named)
async def test_every_operation_refuses_a_parameter_that_is_there_twice(operation: Operation, door: Door) -> None:
    single = [str(each["name"]) for each in declared(operation) if "array" not in str(each["schema"])]
    for name in [*single, "x"]:
        reply = await door.http.call(operation.method, f"{url_of(operation, door)}?{name}=1&{name}=2")

        assert (reply.status, reply.is_problem) == (422, True), str(reply)
        assert f"query.{name}" in reply.document["detail"]


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/registered-models?limit=1", "page_size"),
        ("/registered-models?onwer=x", "owner"),
        ("/audit-entries?actr=eve", "actor"),
        ("/audit-entries?pagesize=1", "page_size"),
        ("/experiments?stat=running", "The parameters are"),
        ("/registered-models?order_by=name", "sort"),
    ],
)
async def test_a_misspelt_filter_is_told_what_it_was_meant_to_be(door: Door, path: str, meant: str) -> None:
    reply = await door.call("GET", path)

    assert meant in reply.expect(422)["fix"]


@pytest.mark.parametrize("header", ["X-Correlation-Id", "Idempotency-Key", "If-Match", "Content-Type"])
async def test_a_header_that_is_there_twice_is_refused(door: Door, header: str) -> None:
    given = [("Authorization", f"Bearer {door.http.token}"), (header, '"1"'), (header, '"2"')]
    url = f"{door.http.url}/api/v1/projects/{door.project}/registered-models/risk"

    async with door.http.session.patch(url, data=b"{}", headers=given) as answer:
        assert answer.status == 422
        assert f"header.{header.lower()}" in (await answer.json())["detail"]


async def test_two_authorizations_prove_nobody(door: Door) -> None:
    token = f"Bearer {door.http.token}"
    given = [("Authorization", token), ("Authorization", token)]

    async with door.http.session.get(f"{door.http.url}/api/v1/projects/p/audit-entries", headers=given) as answer:
        assert answer.status == 401
        assert "2 Authorization headers" in (await answer.json())["detail"]


@pytest.mark.parametrize("query", ["tag=%00", "owner=a%00b", "owner=%ff", "owner=%ed%a0%80", "name_contains=%c3"])
async def test_a_parameter_that_is_no_text_is_refused(door: Door, query: str) -> None:
    (await door.call("GET", f"/registered-models?{query}")).expect(422)


@pytest.mark.parametrize(
    "path",
    [
        "/registered-models?created_before=9999-12-31T23:59:59-05:00",
        "/registered-models?created_after=0001-01-01T00:00:00%2B05:00",
        "/registered-models/risk/versions?created_before=9999-12-31T23:59:59.999999-00:01",
        "/registered-models/risk/champion?at=0001-01-01T00:00:00%2B05:00",
        "/audit-entries?created_after=0001-01-01T00:00:00%2B00:01",
    ],
)
async def test_a_moment_that_no_database_holds_is_refused_with_the_range(door: Door, path: str) -> None:
    await door.create()

    assert "0001-01-01T00:00:00+00:00 to 9999-12-31" in (await door.call("GET", path)).expect(422)["detail"]


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
async def test_the_first_and_the_last_moment_are_moments(door: Door, moment: str) -> None:
    await door.promote() if (await door.create()) else None

    for path in (f"?created_before={moment}", f"/risk/versions?created_after={moment}", f"/risk/champion?at={moment}"):
        assert (await door.call("GET", f"/registered-models{path}")).status in (200, 404)


async def test_an_offset_whose_plus_became_a_blank_is_told_to_be_encoded(door: Door) -> None:
    await door.create()

    reply = await door.call("GET", "/registered-models/risk/champion?at=2026-03-03T12:00:00+01:00")

    assert "write + as %2B" in reply.expect(422)["detail"]
    assert "2026-03-03T12:00:00 01:00" in reply.document["detail"], "it shows what came"


async def test_a_registration_takes_its_parameters_at_their_word_too(door: Door) -> None:
    await door.create()
    digest = await door.upload()

    reply = await door.call("POST", f"{versions()}?semver=9.9.9", {"digest": digest})

    assert "query.semver" in reply.expect(422)["detail"]
