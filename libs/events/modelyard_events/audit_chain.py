"""How audit entries hold each other: each carries the hash of the one before it about the same subject.

An entry's hash is the SHA-256 of its event in canonical JSON (RFC 8785): all members that are not null but `hash`
itself, `previous_hash` among them. A subject's first entry has no `previous_hash`. So an entry that was changed, left
out or put in breaks the chain of its subject, and anyone who reads the topic can tell.
"""

from hashlib import sha256

from modelyard_events.canonical_json import canonical_bytes
from modelyard_events.registry import AuditEntryRecorded


def hash_of_entry(entry: AuditEntryRecorded) -> str:
    """`sha256:` and the hash that the next entry about the same subject carries."""
    members = {
        name: value for name, value in entry.model_dump(mode="json").items() if value is not None and name != "hash"
    }
    return f"sha256:{sha256(canonical_bytes(members)).hexdigest()}"
