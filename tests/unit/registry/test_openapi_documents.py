"""The OpenAPI documents explain themselves: properties are described, and bodies have examples that are right."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from modelyard_cache_invalidator import app as cache_invalidator
from modelyard_cache_invalidator.settings import Settings as CacheInvalidatorSettings
from modelyard_registry import app as registry
from modelyard_registry.api.openapi import REGISTRATION, VERSION_EXAMPLES, WORDS
from modelyard_registry.settings import Settings as RegistrySettings
from modelyard_router import app as router
from modelyard_router.settings import Settings as RouterSettings
from modelyard_runtime.http.openapi_documents import undescribed, words_of

Document = dict[str, Any]
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "evidence.md"
KINDS = {
    "risk_scoring",
    "forecasting",
    "recommendations",
    "outcome_prediction",
    "mitigation_recommendation",
    "llm_fine_tuned",
}
UNSIGNED = {"state_unsigned": "allow"}


def registry_document() -> Document:
    return registry.build_app(RegistrySettings.model_validate(UNSIGNED)).openapi()


def router_document() -> Document:
    door: Any = router.build_app(RouterSettings.model_validate(UNSIGNED))
    while not hasattr(door, "openapi"):
        door = getattr(door, "_rest", None) or door._app
    document: Document = door.openapi()
    return document


def invalidator_document() -> Document:
    return cache_invalidator.build_app(CacheInvalidatorSettings.model_validate(UNSIGNED)).openapi()


DOCUMENTS = {
    "registry": registry_document(),
    "router": router_document(),
    "cache_invalidator": invalidator_document(),
}


def bodies_of(document: Document) -> list[tuple[str, Document]]:
    """Each JSON body that an operation takes: its schema and its examples."""
    return [
        (f"{method.upper()} {path}", operation["requestBody"]["content"]["application/json"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]


def examples_of(content: Document) -> list[Any]:
    """The examples that stand beside a body."""
    if "example" in content:
        return [content["example"]]
    return [each["value"] for each in content.get("examples", {}).values()]


BODIES = [(service, *body) for service, document in DOCUMENTS.items() for body in bodies_of(document)]


@pytest.mark.parametrize("service", DOCUMENTS)
def test_every_property_of_a_request_or_an_answer_is_described(service: str) -> None:
    missing = undescribed(DOCUMENTS[service])

    assert missing == [], "give each a line in the service's openapi_words.txt, or a description in its class"


def test_every_word_in_the_list_is_of_a_property() -> None:
    schemas = DOCUMENTS["registry"]["components"]["schemas"]
    names = {name for body in schemas.values() for name in body.get("properties", {})}

    assert {each.rpartition(".")[2] for each in words_of(WORDS.read_text())} - names == set()


@pytest.mark.parametrize(
    ("service", "operation", "content"), BODIES, ids=lambda each: each if isinstance(each, str) else ""
)
def test_every_body_has_an_example_that_fits_its_schema(service: str, operation: str, content: Document) -> None:
    components = DOCUMENTS[service].get("components", {})

    examples = examples_of(content)

    assert examples, f"{service}: {operation} shows no example"
    for example in examples:
        jsonschema.validate(example, {**content["schema"], "components": components})


def test_a_version_of_each_kind_of_model_is_shown_in_the_document_and_on_the_page() -> None:
    recorded = json.loads(VERSION_EXAMPLES.read_text())
    content = DOCUMENTS["registry"]["paths"][REGISTRATION]["post"]["requestBody"]["content"]["application/json"]

    on_the_page = re.findall(
        r"^## [^\n]*: `(\w+)`\n\n```json\n(.*?)```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE
    )

    assert set(recorded) == KINDS
    assert {kind: each["value"] for kind, each in content["examples"].items()} == recorded
    assert {kind: json.loads(example) for kind, example in on_the_page} == recorded
