"""The registry's OpenAPI document tells of every operation what a caller needs, and its examples are right."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.contract.http.exploring import Known, operations_of
from tests.contract.http.seeding import seed
from tests.integration.registry.door import Door

pytestmark = pytest.mark.integration

Document = dict[str, Any]
PROBLEM = "application/problem+json"
KEYS = {"idempotency-key", "if-match"}
ASKS = {"POST /api/v1/projects/{project}/registered-models/{name}/versions/{reference}/transitions/dry-run"}
"""A POST that changes nothing: there is nothing to repeat or to compare."""


@pytest.fixture
async def document(door: Door) -> Document:
    """The OpenAPI document."""
    told: Document = (await door.http.call("GET", "/openapi.json")).expect(200)
    return told


def operation_of(document: Document, label: str) -> Document:
    method, _, path = label.partition(" ")
    found: Document = document["paths"][path][method.lower()]
    return found


def parameters_of(operation: Document) -> dict[str, Document]:
    return {each["name"]: each for each in operation.get("parameters", ())}


def writes_of(document: Document) -> list[str]:
    return [each for each in operations_of(document) if not each.startswith(("GET ", "HEAD "))]


async def test_every_error_is_a_problem_that_names_the_fix(document: Document) -> None:
    vague = [
        (label, status)
        for label in operations_of(document)
        for status, answer in operation_of(document, label)["responses"].items()
        if status.startswith("4") and "fix" not in answer["content"][PROBLEM]["schema"]["required"]
    ]

    assert vague == []


async def test_every_body_has_an_example_that_its_own_schema_accepts(document: Document) -> None:
    wrong = []
    for label in writes_of(document):
        content = operation_of(document, label).get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            continue
        schema = {**content["application/json"]["schema"], "components": document["components"]}
        examples = list(_examples(schema, document))
        if not examples:
            wrong.append(f"{label}: no example")
        wrong += [f"{label}: {error.message}" for each in examples for error in _errors(each, schema)]

    assert wrong == []


async def test_every_write_documents_its_key_and_its_precondition_and_no_read_does(document: Document) -> None:
    writes = set(writes_of(document))

    silent = [each for each in writes if not set(parameters_of(operation_of(document, each))) >= KEYS]
    loud = [
        each
        for each in set(operations_of(document)) - writes
        if set(parameters_of(operation_of(document, each))) & KEYS
    ]

    assert (silent, loud) == ([], [])


async def test_no_write_takes_an_etag_that_it_does_not_compare(door: Door, document: Document) -> None:
    known = await seed(door)
    taken = []
    for label in sorted(set(writes_of(document)) - ASKS):
        operation = operation_of(document, label)
        if parameters_of(operation)["if-match"]["schema"].get("const") != "*":
            continue
        method, _, path = label.partition(" ")
        body = known.bodies.get(label) or next(iter(_bodies(operation, document)), None)
        raw = body.encode() if isinstance(body, str) else None
        reply = await door.http.call(
            method,
            _address(path, label, known),
            None if raw else body,
            data=raw,
            headers={"If-Match": '"1"'},
        )
        if reply.status != 422:
            taken.append(str(reply)[:300])

    assert taken == []


def _address(path: str, label: str, known: Known) -> str:
    for name, values in {**known.names, **known.names_of.get(label, {})}.items():
        path = path.replace(f"{{{name}}}", str(values[0]))
    return path


def _bodies(operation: Document, document: Document) -> list[Any]:
    content = operation.get("requestBody", {}).get("content", {})
    return list(_examples(content["application/json"]["schema"], document)) if "application/json" in content else []


def _examples(schema: Document, document: Document) -> list[Any]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    found = list(schema.get("examples", ()))
    for each in schema.get("anyOf", ()):
        found += _examples(each, document)
    return found


def _errors(example: object, schema: Document) -> list[Any]:
    return list(Draft202012Validator(schema).iter_errors(example))
