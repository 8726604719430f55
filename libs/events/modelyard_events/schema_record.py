"""The recorded JSON Schemas: what every event version has ever promised, one file per step.

`schemas/<type>/<step>.json` are never edited. A change that only adds or removes optional fields, or allows longer
texts, is recorded as the next step; anything else is incompatible and needs a new event type (`…v2`) beside the
old one. `python -m modelyard_events.schema_record` records what has changed.
"""

import json
import sys
from pathlib import Path
from typing import Any

from modelyard_events.event import Event
from modelyard_events.topics import EVENT_TYPES

DIRECTORY = Path(__file__).parent / "schemas"

Schema = dict[str, Any]

_ANNOTATIONS = {"title", "description", "default", "examples"}


def schema_of(event_type: type[Event]) -> Schema:
    """The JSON Schema (2020-12) of an event's data, as its producer writes it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"/schemas/{event_type.type}",
        **event_type.model_json_schema(),
    }


def recorded(wire_type: str) -> list[Schema]:
    """Every recorded step of an event type's schema, oldest first; empty when nothing is recorded."""
    files = sorted((DIRECTORY / wire_type).glob("*.json"), key=lambda file: int(file.stem))
    return [json.loads(file.read_text()) for file in files]


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """Why a reader or a writer of `old` and one of `new` would misunderstand each other; empty when not.

    Only optional properties may come or go, and texts may become longer: readers are upgraded before writers, and what
    was written before stays valid. A new member of an enumeration is a difference: readers of the old schema know no
    meaning of it.
    """
    return _differences("", _resolved(old, old), _resolved(new, new))


def _resolved(node: Any, root: Schema) -> Any:
    """The schema with its `$ref`s replaced by what they name, and without annotations."""
    if isinstance(node, list):
        return [_resolved(item, root) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(reference := node.get("$ref"), str):
        name = reference.removeprefix("#/$defs/")
        return _resolved(root["$defs"][name], root)
    kept = {}
    for name, content in node.items():
        if name == "properties":
            kept[name] = {field: _resolved(schema, root) for field, schema in content.items()}
        elif name not in _ANNOTATIONS and not name.startswith("$"):
            kept[name] = _resolved(content, root)
    return kept


def _differences(path: str, old: Any, new: Any) -> list[str]:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [f"{path or 'the event'}: {old!r} became {new!r}"]
    found = []
    for keyword in sorted((old.keys() | new.keys()) - {"properties", "required"}):
        before, after = old.get(keyword), new.get(keyword)
        if keyword == "maxLength" and isinstance(before, int) and isinstance(after, int) and before <= after:
            continue
        if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
            for one, other in zip(before, after, strict=True):
                found += _differences(path, one, other)
        else:
            found += _differences(f"{path}/{keyword}", before, after)
    return found + _property_differences(path, old, new)


def _property_differences(path: str, old: Schema, new: Schema) -> list[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    must_before, must_after = set(old.get("required", [])), set(new.get("required", []))
    found = [f"{path}/{name}: became required" for name in sorted(must_after - must_before)]
    found += [f"{path}/{name}: is no longer required" for name in sorted(must_before - must_after)]
    for name in sorted(before.keys() & after.keys()):
        found += _differences(f"{path}/{name}", before[name], after[name])
    return found


def record() -> list[str]:
    """Record the schemas that changed compatibly; what could not be recorded is in the answer."""
    refused = []
    for wire_type, event_type in EVENT_TYPES.items():
        steps, current = recorded(wire_type), schema_of(event_type)
        if steps and steps[-1] == current:
            continue
        problems = [problem for step in steps for problem in incompatibilities(step, current)]
        if problems:
            refused += [f"{wire_type}: {problem}" for problem in problems]
            continue
        folder = DIRECTORY / wire_type
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{len(steps) + 1}.json").write_text(json.dumps(current, indent=2) + "\n")
    return refused


if __name__ == "__main__":
    if problems := record():
        sys.exit("\n".join(["These changes need a new event type:", *problems]))
