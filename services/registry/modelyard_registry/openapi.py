"""The OpenAPI document, with what holds for every operation and no operation has to repeat.

FastAPI writes the headers that `Caller` takes into each operation alike. Here they become what each makes of them:
a read takes neither `Idempotency-Key` nor `If-Match`, and `If-Match` is an entity tag where revisions are compared.
"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from modelyard_registry.http import READING, problems
from modelyard_registry.preconditions import IF_MATCH_PATTERN

Document = dict[str, Any]

_OF_WRITES = frozenset({"idempotency-key", "if-match"})
_REVISION_CHANGED = "412"
_ANY = "Only `*`: this operation changes nothing that has an ETag, and refuses one with 422."


def install_openapi(app: FastAPI) -> None:
    """Make the document of `app` say so."""
    written: Document = {}
    generate = app.openapi

    def openapi() -> Document:
        if not written:
            written.update(_completed(generate()))
        return written

    # FastAPI's documented way to change its document is to replace this method.
    replaced: Callable[[], Document] = openapi
    app.__dict__["openapi"] = replaced


def _completed(document: Document) -> Document:
    for address, path in document["paths"].items():
        for method, operation in path.items():
            if _names_a_project(address, operation):
                operation["responses"].setdefault("404", problems(404)[404])
            if method.upper() in READING:
                _leave_out_headers_of_writes(operation)
            else:
                _say_what_if_match_is(operation)
                _say_how_bodies_are_refused(operation)
    return document


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
