"""The registry's part in tests that write state documents themselves: a key of their own, and what it signs."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from modelyard_events.codec import Record, encode
from modelyard_events.envelope import Envelope
from modelyard_events.event import Event
from modelyard_runtime.state.keys import StateSigner

REGISTRY = StateSigner(Ed25519PrivateKey.from_private_bytes(b"the registry in tests of readers"))
SOMEBODY = StateSigner(Ed25519PrivateKey.from_private_bytes(b"somebody with a key of their own"))

STATE_KEYS = (REGISTRY.public_key,)
"""What readers are told to trust."""


def signed_document(event: Event, envelope: Envelope) -> Record:
    """The record by which the registry publishes a document."""
    return REGISTRY.sign(encode(event, envelope))
