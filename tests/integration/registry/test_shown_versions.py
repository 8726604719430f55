"""The versions that the documents show, one of each kind of model, are registered as they are shown."""

import json
from typing import Any

import pytest
from modelyard_registry.api.openapi import VERSION_EXAMPLES

from tests.integration.registry.door import Door, versions

pytestmark = pytest.mark.integration

SHOWN: dict[str, Any] = json.loads(VERSION_EXAMPLES.read_text())


def what_is_shown(kept: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """What was kept of the members that are shown, at any depth; whole numbers are kept as what they are."""
    return {
        name: what_is_shown(kept[name], value) if isinstance(value, dict) else kept[name]
        for name, value in shown.items()
    }


@pytest.mark.parametrize("kind", SHOWN)
async def test_a_shown_version_is_registered_as_it_is(door: Door, kind: str) -> None:
    shown = SHOWN[kind]
    metric = next(iter(shown["evidence"]["metrics"]))
    await door.create(kind, model_type=kind, primary_metric=metric, higher_is_better=True)

    digest = await door.upload(kind.encode())
    registered = (await door.call("POST", versions(kind), {**shown, "digest": digest})).expect(201)

    assert what_is_shown(registered["evidence"], shown["evidence"]) == shown["evidence"]
