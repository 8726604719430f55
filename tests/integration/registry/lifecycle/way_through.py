"""Calls of which every one must be accepted, and among which is every operation that the model check knows."""

from typing import Any

_FACTS: dict[str, Any] = {"auc": 0.8, "data": "v1", "semver": None, "change_type": None, "run_id": None}
_ON_COMMAND = {"moves": [{"to_stage": "production", "approvals": {"count": 1}, "apply": "on_command"}]}
_ASKED: dict[str, Any] = {"name": "alpha", "number": 3, "word": "production", "replaces": None}
_SAID: dict[str, Any] = {"comment": None}


def _ready(number: int) -> list[tuple[str, str, dict[str, Any]]]:
    version = {"name": "alpha", "number": number}
    return [
        ("fay", "register", {"name": "alpha", **_FACTS}),
        ("ann", "deploy", {**version, "place": "a", "health": "healthy"}),
        ("ann", "move", {**version, "word": "testing", "replaces": None}),
    ]


A_WAY_THROUGH: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("ann", "create", {"name": "first", "industry": None}),
    ("ann", "rename", {"name": "first", "new_name": "alpha"}),
    ("ann", "describe", {"name": "alpha", "description": "new"}),
    ("ann", "delete", {"name": "alpha"}),
    ("ann", "restore", {"name": "alpha"}),
    *_ready(1),
    *_ready(2),
    *_ready(3),
    ("ann", "move", {"name": "alpha", "number": 1, "word": "production", "replaces": None}),
    ("ann", "move", {"name": "alpha", "number": 2, "word": "deployed", "replaces": None}),
    ("ann", "move", {"name": "alpha", "number": 3, "word": "canary", "replaces": None}),
    ("ann", "start", {"name": "alpha", "number": 3, "key": "x", "industries": ()}),
    ("ann", "stop", {"key": "x"}),
    ("ann", "start", {"name": "alpha", "number": 3, "key": "y", "industries": ()}),
    ("ann", "roll_back", {"name": "alpha", "replaces": 2}),
    ("ann", "set_alias", {"name": "alpha", "number": 1, "alias": "stable", "expected": None, "is_expected": True}),
    ("ann", "delete_alias", {"name": "alpha", "alias": "stable", "expected": 1, "is_expected": True}),
    ("ann", "quarantine", {"name": "alpha", "number": 2, "quarantined": True}),
    ("cem", "review", {"name": "alpha", "number": 3, "status": "approved"}),
    ("fay", "build", {"name": "alpha", "number": 3, "status": "evaluating"}),
    ("fay", "annotate", {"name": "alpha", "number": 3, "description": "good"}),
    ("ann", "set_policy", {"name": None, "policy": _ON_COMMAND}),
    ("eve", "try_move", _ASKED),
    ("ann", "ask", _ASKED),
    ("cem", "reject", _SAID),
    ("ann", "ask", _ASKED),
    ("ann", "withdraw", _SAID),
    ("ann", "ask", _ASKED),
    ("cem", "approve", _SAID),
    ("bob", "apply", _SAID),
    ("ann", "ask_endpoint", {"name": "alpha", "number": 3, "place": "b", "health": "healthy"}),
    ("cem", "approve", _SAID),
    ("bob", "apply", _SAID),
    ("ann", "set_policy", {"name": "alpha", "policy": {"champion": "manual"}}),
    ("ann", "set_policy", {"name": None, "policy": {}}),
    ("ann", "appoint", {"name": "alpha", "number": 1, "replaces": 3, "replaces_model": None}),
)
