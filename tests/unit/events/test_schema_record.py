"""An event version is a promise: it may grow by optional fields, and never changes otherwise."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from modelyard_events import schema_record
from modelyard_events.schema_record import incompatibilities, recorded, schema_of
from modelyard_events.topics import EVENT_TYPES

EXAMPLES = Path(schema_record.__file__).parent / "examples"


def a_schema(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"model": {"type": "string"}, **properties},
        "required": ["model"],
    }


def what_is_left_of(told: object, written: object) -> object:
    """`written` without the fields that the example does not have, at any depth."""
    if isinstance(told, dict) and isinstance(written, dict):
        return {name: what_is_left_of(told[name], written[name]) for name in told if name in written}
    if isinstance(told, list) and isinstance(written, list) and len(told) == len(written):
        return [what_is_left_of(one, other) for one, other in zip(told, written, strict=True)]
    return written


@pytest.mark.parametrize("wire_type", EVENT_TYPES)
def test_the_schema_of_every_event_is_recorded(wire_type: str) -> None:
    steps = recorded(wire_type)

    assert steps, f"record it: python -m modelyard_events.schema_record ({wire_type})"
    assert steps[-1] == schema_of(EVENT_TYPES[wire_type]), "record the change, or undo it"


@pytest.mark.parametrize("wire_type", EVENT_TYPES)
def test_every_event_understands_and_is_understood_by_each_recorded_step(wire_type: str) -> None:
    current = schema_of(EVENT_TYPES[wire_type])

    assert [incompatibilities(step, current) for step in recorded(wire_type)] == [[]] * len(recorded(wire_type))


@pytest.mark.parametrize("wire_type", EVENT_TYPES)
def test_every_recorded_example_is_still_understood_and_fits_its_schema(wire_type: str) -> None:
    examples = sorted((EXAMPLES / wire_type).glob("*.json"))

    assert examples, f"record an example of {wire_type}"
    for example in examples:
        event = EVENT_TYPES[wire_type].model_validate_json(example.read_text())
        written = event.model_dump(mode="json")
        jsonschema.validate(written, recorded(wire_type)[-1])
        told = json.loads(example.read_text())
        assert what_is_left_of(told, written) == told, "the event lost what its example says"


def test_no_schema_is_recorded_for_an_event_that_is_gone() -> None:
    assert {folder.name for folder in schema_record.DIRECTORY.iterdir()} == set(EVENT_TYPES)


def test_an_optional_field_may_come_and_go() -> None:
    grown = a_schema(note={"type": "string"})

    assert incompatibilities(a_schema(), grown) == []
    assert incompatibilities(grown, a_schema()) == []


def test_a_required_field_may_neither_come_nor_go() -> None:
    grown = a_schema(note={"type": "string"}) | {"required": ["model", "note"]}

    assert incompatibilities(a_schema(), grown) == ["/note: became required"]
    assert incompatibilities(grown, a_schema()) == ["/note: is no longer required"]


def test_a_field_may_not_change_its_type() -> None:
    changed = {"type": "object", "properties": {"model": {"type": "integer"}}, "required": ["model"]}

    assert incompatibilities(a_schema(), changed) == ["/model/type: 'string' became 'integer'"]


def test_an_enumeration_may_not_gain_a_member() -> None:
    two = a_schema(stage={"$ref": "#/$defs/Stage"}) | {"$defs": {"Stage": {"enum": ["a", "b"]}}}
    three = a_schema(stage={"$ref": "#/$defs/Stage"}) | {"$defs": {"Stage": {"enum": ["a", "b", "c"]}}}

    assert incompatibilities(two, three) != []


def test_a_text_may_become_longer_but_not_shorter() -> None:
    short, long = (a_schema(note={"type": "string", "maxLength": most}) for most in (200, 400))

    assert incompatibilities(short, long) == []
    assert incompatibilities(long, short) == ["/note/maxLength: 400 became 200"]
    assert incompatibilities(a_schema(note={"type": "string"}), short) != []


def test_words_for_people_may_change() -> None:
    said = a_schema(note={"type": "string", "description": "once"})
    rephrased = a_schema(note={"type": "string", "description": "again"})

    assert incompatibilities(said, rephrased) == []
