"""The vocabulary of the audit log is complete: what is written is a member, and what is a member is written."""

import ast
from pathlib import Path

from modelyard_registry.transactions.audit_actions import AuditAction, permission_refused, refused

from tests.reference_pages import ROOT

RECORD = Path(__file__).with_name("recorded_audit_actions.txt")
REGISTRY = ROOT / "services" / "registry" / "modelyard_registry"
MODULES = {
    file: ast.parse(file.read_text())
    for file in REGISTRY.rglob("*.py")
    if file != REGISTRY / "transactions" / "audit_actions.py"
}


def test_every_member_is_written_somewhere() -> None:
    written = {
        node.attr
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == AuditAction.__name__
    }

    assert written == set(AuditAction.__members__)


def test_every_action_that_is_written_is_a_member() -> None:
    typed = {action.value for action in AuditAction} | {refused(action) for action in AuditAction}
    strays = [
        f"{file.relative_to(ROOT)}:{node.value.lineno}"
        for file, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "action"
        if isinstance(node.value, ast.JoinedStr) or (isinstance(node.value, ast.Constant) and node.value.value in typed)
    ]

    assert strays == [], "write AuditAction, refused(…) or permission_refused(…)"


def test_an_action_that_is_on_record_does_not_change() -> None:
    recorded = RECORD.read_text().splitlines()
    values = {action.value for action in AuditAction}

    assert set(recorded) - values == set(), "auditors search for these: a member may be renamed, its value may not"
    assert values - set(recorded) == set(), f"add them to {RECORD.name}, so that they stay"


def test_an_action_explains_itself() -> None:
    unclear = [action for action in AuditAction if not action.meaning.endswith(".") or "|" in action.meaning]

    assert unclear == []


def test_a_refusal_is_named_after_what_was_refused() -> None:
    assert refused(AuditAction.ALIAS_MOVED) == "alias.moved.refused"
    assert permission_refused("models:write") == "models.write.refused"
