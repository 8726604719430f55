"""Every body is bounded in every field, and every part of it is taken at its word."""

from collections.abc import Iterator
from typing import Any, get_args

from fastapi.routing import APIRoute, iter_route_contexts
from modelyard_events.exact_values import ExactValue
from modelyard_registry.api.bounded_route import BoundedRoute
from modelyard_registry.app import build_app
from modelyard_registry.settings import Settings
from pydantic import BaseModel

APP = build_app(Settings(state_unsigned="allow"))
DOCUMENT = APP.openapi()
JSON = "application/json"


def routes() -> Iterator[APIRoute]:
    for context in iter_route_contexts(APP.routes):
        if isinstance(context.original_route, APIRoute) and (context.path_format or "").startswith("/api/"):
            yield context.original_route


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    for each in get_args(annotation):
        yield from models_in(each)


def schemas() -> Iterator[tuple[str, Any]]:
    """Each body and each parameter of the OpenAPI document, by operation."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", []):
                yield f"{method} {path} {parameter['name']}", parameter["schema"]
            content = operation.get("requestBody", {}).get("content", {})
            if JSON in content and content[JSON]["schema"]:
                yield f"{method} {path}", content[JSON]["schema"]


BOUNDS = {
    "string": {"maxLength", "enum", "const", "pattern", "format"},
    "integer": {"maximum", "exclusiveMaximum", "enum", "const"},
    "array": {"maxItems"},
}


def unbounded(where: str, schema: Any) -> Iterator[str]:
    """The parts of a schema that have no bound."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        yield from unbounded(f"{where} {name}", DOCUMENT["components"]["schemas"][name])
        return
    if schema.get("description", "").startswith("Any JSON object, at most"):
        return
    kind, free = schema.get("type"), schema.get("additionalProperties")
    if kind in BOUNDS and not schema.keys() & BOUNDS[kind]:
        yield f"{where}: {kind}"
    if isinstance(free, dict) and "maxProperties" not in schema:
        yield f"{where}: object"
    for name, each in parts_of(schema):
        yield from unbounded(f"{where}{name}", each)


def parts_of(schema: Any) -> Iterator[tuple[str, Any]]:
    """The schemas within a schema, by what they are called there."""
    yield from ((f".{name}", each) for name, each in schema.get("properties", {}).items())
    yield from (("", each) for keyword in ("anyOf", "oneOf", "allOf") for each in schema.get(keyword, []))
    yield from (
        (name, schema[key]) for key, name in (("items", "[]"), ("additionalProperties", ".*")) if schema.get(key)
    )


def test_every_operation_judges_its_request_before_the_framework_reads_it() -> None:
    assert [route.name for route in routes() if not isinstance(route, BoundedRoute)] == []


def test_every_part_of_every_body_is_taken_at_its_word() -> None:
    bodies = [route.body_field.field_info.annotation for route in routes() if route.body_field is not None]
    lax = {model.__name__ for body in bodies for model in models_in(body) if not issubclass(model, ExactValue)}

    assert len(bodies) > 20
    assert lax == set()


def test_every_field_of_every_body_and_every_parameter_is_bounded() -> None:
    parameters_of_a_job = {
        "parameters.*: string",
        "parameters.*: integer",
    }  # The bounds of a union are its validator's.
    found = {each for where, schema in schemas() for each in unbounded(where, schema)}

    assert {each for each in found if not any(each.endswith(known) for known in parameters_of_a_job)} == set()
