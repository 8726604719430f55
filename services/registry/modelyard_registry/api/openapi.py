"""The OpenAPI document, with what holds for every operation and no operation has to repeat.

FastAPI writes the headers that `Caller` takes into each operation alike. Here they become what each makes of them:
a read takes neither `Idempotency-Key` nor `If-Match`, and `If-Match` is an entity tag where revisions are compared.
"""

import json
from pathlib import Path

from fastapi import FastAPI
from modelyard_runtime.http.openapi_documents import (
    Document,
    describe_properties,
    install_document,
    show_examples,
    words_of,
)
from modelyard_runtime.problems import documented

from modelyard_registry.api.error_answers import problems
from modelyard_registry.api.inputs import READING
from modelyard_registry.api.preconditions import IF_MATCH_PATTERN

HERE = Path(__file__).parent
WORDS = HERE / "openapi_words.txt"
"""What each property means, a line for each name."""
VERSION_EXAMPLES = HERE / "openapi_examples.json"
"""A complete version to register for each kind of model; docs/reference/evidence.md shows them."""
REGISTRATION = "/api/v1/projects/{project}/registered-models/{name}/versions"

TOO_LONG = documented({414: "The address is longer than a service reads"})[414]

_OF_WRITES = frozenset({"idempotency-key", "if-match"})
_REVISION_CHANGED = "412"
_ANY = "Only `*`: this operation changes nothing that has an ETag, and refuses one with 422."


def install_openapi(app: FastAPI) -> None:
    """Make the document of `app` say so."""
    install_document(app, _complete)


def _complete(document: Document) -> None:
    describe_properties(document, words_of(WORDS.read_text()))
    show_examples(document)
    _show_versions(document)
    for address, path in document["paths"].items():
        for method, operation in path.items():
            operation["responses"].setdefault("414", TOO_LONG)
            if _names_a_project(address, operation):
                operation["responses"].setdefault("404", problems(404)[404])
            if method.upper() in READING:
                _leave_out_headers_of_writes(operation)
            else:
                _say_what_if_match_is(operation)
                _say_how_bodies_are_refused(operation)


def _show_versions(document: Document) -> None:
    """Show a version of each kind of model beside the registration."""
    registration = document["paths"][REGISTRATION]["post"]["requestBody"]["content"]["application/json"]
    registration["examples"] = {
        kind: {"summary": f"A version of a model of the kind {kind}", "value": version}
        for kind, version in json.loads(VERSION_EXAMPLES.read_text()).items()
    }


def _names_a_project(address: str, operation: Document) -> bool:
    return "{project}" in address or any(each["name"] == "project_id" for each in operation.get("parameters", ()))


def _leave_out_headers_of_writes(operation: Document) -> None:
    if "parameters" in operation:
        operation["parameters"] = [each for each in operation["parameters"] if each["name"] not in _OF_WRITES]


def _say_what_if_match_is(operation: Document) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "if-match":
            if _REVISION_CHANGED in operation["responses"]:
                parameter["schema"] = {"type": "string", "maxLength": 500, "pattern": IF_MATCH_PATTERN}
            else:
                parameter["schema"] = {"type": "string", "const": "*"}
                parameter["description"] = _ANY


def _say_how_bodies_are_refused(operation: Document) -> None:
    if "requestBody" in operation:
        for status in (413, 415):
            operation["responses"].setdefault(str(status), problems(status)[status])
