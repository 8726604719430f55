"""Events with a proof of their sender: a key of the test's own, registered at the registry, and what it signs."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from modelyard_events.codec import Record
from modelyard_events.signing import signature_headers, signed_bytes
from modelyard_events.topics import ENTITY_CHANGES, TRAINING_RUNS

from tests.world.http_client import HttpClient
from tests.world.registry import Document

SIGNING_KEYS = "/api/v1/access/signing-keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Somebody who signs what they send."""

    key_id: str
    private: Ed25519PrivateKey

    @property
    def public_key(self) -> str:
        """What the registry is told of the key, in base64."""
        return base64.b64encode(self.private.public_key().public_bytes_raw()).decode()

    def sign(self, record: Record) -> Record:
        """The record with its proof."""
        signature = self.private.sign(signed_bytes(record))
        return replace(record, headers=(*record.headers, *signature_headers(key_id=self.key_id, signature=signature)))


def a_signer(key_id: str = "") -> Signer:
    """Somebody whose key nobody knows yet."""
    return Signer(key_id=key_id, private=Ed25519PrivateKey.generate())


async def a_registered_signer(
    http: HttpClient,
    *,
    project: str = "*",
    topics: Sequence[str] = (TRAINING_RUNS.name, ENTITY_CHANGES.name),
    tenants: Sequence[str] | None = None,
    actor: str = "test-sender",
    expires_at: datetime | None = None,
) -> Signer:
    """Somebody whose key the registry knows; for all projects unless one is given."""
    signer = a_signer()
    document: Document = {
        "actor": actor,
        "project": project,
        "topics": list(topics),
        "tenants": None if tenants is None else list(tenants),
        "public_key": signer.public_key,
        "expires_at": (expires_at or datetime.now(UTC) + timedelta(days=1)).isoformat(),
    }
    registered = (await http.call("POST", SIGNING_KEYS, document)).expect(201)
    return replace(signer, key_id=registered["key_id"])
