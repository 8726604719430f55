"""What OpenAPI documents say besides what FastAPI writes: what each property means, and bodies that work."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI

Document = dict[str, Any]
Words = Mapping[str, str]
"""A sentence for each property's name; `Schema.name` goes before `name`."""


def words_of(text: str) -> Words:
    """The words of a file with a line `name: sentence` for each."""
    pairs = (line.partition(": ") for line in text.splitlines() if line)
    return {name: sentence for name, _, sentence in pairs}


def describe_properties(document: Document, words: Words) -> None:
    """Describe each property that says nothing of itself, in the document's schemas."""
    for schema, body in document.get("components", {}).get("schemas", {}).items():
        for name, property_ in body.get("properties", {}).items():
            # Of two classes of one name, FastAPI calls each by its module as well.
            said = words.get(f"{schema.rpartition('__')[2]}.{name}") or words.get(name)
            if said is not None:
                property_.setdefault("description", said)


def show_examples(document: Document) -> None:
    """Show the examples of a schema beside each operation that takes it as its body."""
    schemas = document["components"]["schemas"]
    for path in document["paths"].values():
        for operation in path.values():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            named = [schemas[each].get("examples", []) for each in _references(content.get("schema", {}))]
            examples = [example for several in named for example in several]
            if examples:
                content["examples"] = {f"example {n}": {"value": each} for n, each in enumerate(examples, start=1)}


def install_document(app: FastAPI, complete: Callable[[Document], None]) -> None:
    """Have `app` answer its OpenAPI document as `complete` has completed it."""
    written: Document = {}
    generate = app.openapi

    def openapi() -> Document:
        if not written:
            document = generate()
            complete(document)
            written.update(document)
        return written

    # FastAPI's documented way to change its document is to replace this method.
    replaced: Callable[[], Document] = openapi
    app.__dict__["openapi"] = replaced


def undescribed(document: Document) -> list[str]:
    """The properties that say nothing of themselves, as `Schema.name`."""
    return [
        f"{schema}.{name}"
        for schema, body in document.get("components", {}).get("schemas", {}).items()
        for name, property_ in body.get("properties", {}).items()
        if not property_.get("description")
    ]


def _references(schema: Document) -> list[str]:
    """The names of the schemas that a body may have; `null` beside one is none."""
    each = [schema, *schema.get("anyOf", [])]
    return [part["$ref"].rpartition("/")[2] for part in each if "$ref" in part]
