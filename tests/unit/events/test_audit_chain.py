"""What the hash of an audit entry covers: everything but itself."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import modelyard_events
import pytest
from modelyard_events.audit_chain import hash_of_entry
from modelyard_events.registry import AuditEntryRecorded

EXAMPLE = Path(modelyard_events.__file__).parent / "examples" / "audit_entry.recorded.v1" / "3.json"
MEMBERS: dict[str, Any] = json.loads(EXAMPLE.read_text())


def entry(**changes: Any) -> AuditEntryRecorded:
    return AuditEntryRecorded.model_validate({**MEMBERS, **changes})


def test_the_hash_is_of_the_members_that_are_there_in_canonical_json() -> None:
    members = {name: value for name, value in MEMBERS.items() if value is not None and name != "hash"}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert hash_of_entry(entry()) == f"sha256:{sha256(canonical.encode()).hexdigest()}"


@pytest.mark.parametrize("value", [None, "sha256:" + "0" * 64])
def test_an_entrys_own_hash_is_no_part_of_it(value: str | None) -> None:
    assert hash_of_entry(entry(hash=value)) == hash_of_entry(entry())


@pytest.mark.parametrize(
    "change", [{"reason": "another"}, {"reason": None}, {"actor": "eve"}, {"previous_hash": "sha256:" + "0" * 64}]
)
def test_a_change_of_any_other_member_changes_the_hash(change: dict[str, Any]) -> None:
    assert hash_of_entry(entry(**change)) != hash_of_entry(entry())
