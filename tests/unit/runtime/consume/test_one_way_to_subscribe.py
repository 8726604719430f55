"""Every subscription goes through the consumer policy: nobody else asks FastStream, or polls for a group."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[4]
ALLOWED = ROOT / "libs/runtime/modelyard_runtime/consume"


def _sources() -> Iterator[Path]:
    for folder in ("libs", "services"):
        yield from (ROOT / folder).rglob("*.py")


def _attributes_called(source: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(source.read_text(), filename=str(source))):
        if isinstance(node, ast.Call):
            yield node


def test_only_the_consumer_policy_subscribes() -> None:
    offenders = [
        f"{source.relative_to(ROOT)}:{call.lineno}"
        for source in _sources()
        if ALLOWED not in source.parents
        for call in _attributes_called(source)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "subscriber"
    ]

    assert offenders == [], "subscribe by modelyard_runtime.consume: FastStream's own policies lose records"


def test_nobody_else_commits_offsets_of_a_group() -> None:
    offenders = [
        f"{source.relative_to(ROOT)}:{call.lineno}"
        for source in _sources()
        if ALLOWED not in source.parents
        for call in _attributes_called(source)
        if getattr(call.func, "id", None) == "AIOKafkaConsumer"
        and any(keyword.arg == "group_id" and not _is_none(keyword.value) for keyword in call.keywords)
    ]

    assert offenders == [], "a consumer group belongs to modelyard_runtime.consume"


def test_the_policy_itself_subscribes_once_with_what_makes_it_safe() -> None:
    calls = [
        call
        for source in ALLOWED.rglob("*.py")
        for call in _attributes_called(source)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "subscriber"
    ]

    (call,) = calls
    given = {keyword.arg for keyword in call.keywords}
    assert {"group_id", "ack_policy", "auto_offset_reset", "listener", "parser", "decoder"} <= given


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
