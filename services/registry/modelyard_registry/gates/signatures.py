"""Who signed a version: an Ed25519 signature over the digest of its artifact, as text (`sha256:…`)."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from modelyard_events.values import Slug
from modelyard_runtime.ed25519 import why_unusable
from pydantic import AfterValidator, StringConstraints

from modelyard_registry.gates.rules import Part

SIGNATURE = "signature"
"""Under which name a signature is attached to a version."""

SIGNATURE_BYTES = 64
SIGNATURE_FILE_BYTES_MAX = 1_000
"""What is longer is no signature, raw or in base64."""


def _usable(public_key: str) -> str:
    unusable = why_unusable(base64.b64decode(public_key))
    if unusable is not None:
        raise ValueError(f"{public_key} is {unusable}")
    return public_key


class SignatureKey(Part):
    """Whose signatures count: a name for the key, and the 32 bytes of its public half in base64."""

    key_id: Slug
    public_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$"), AfterValidator(_usable)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFinding:
    """Whose signature it is, None for nobody's, and why in words."""

    signed_by: str | None
    reason: str


def find_signer(attached: bytes | None, *, digest: str, keys: Sequence[SignatureKey]) -> SignatureFinding:
    """Which of `keys` signed `digest`, by what is attached: 64 bytes, or these in base64."""
    if not keys:
        return SignatureFinding(signed_by=None, reason="The policy names no `signature_keys` to verify with.")
    if attached is None:
        return SignatureFinding(signed_by=None, reason=f"Nothing that can be a signature is attached as {SIGNATURE!r}.")
    signature = _decoded(attached)
    if signature is None:
        return SignatureFinding(signed_by=None, reason=f"What is attached as {SIGNATURE!r} is no Ed25519 signature.")
    for key in keys:
        if _fits(signature, digest=digest, key=key):
            return SignatureFinding(signed_by=key.key_id, reason=f"The digest is signed with the key {key.key_id}.")
    known = ", ".join(key.key_id for key in keys)
    return SignatureFinding(signed_by=None, reason=f"The signature is of none of the keys {known} over this digest.")


def _decoded(attached: bytes) -> bytes | None:
    if len(attached) == SIGNATURE_BYTES:
        return attached
    try:
        decoded = base64.b64decode(attached.strip(), validate=True)
    except binascii.Error:
        return None
    return decoded if len(decoded) == SIGNATURE_BYTES else None


def _fits(signature: bytes, *, digest: str, key: SignatureKey) -> bool:
    public_key = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public_key))
    try:
        public_key.verify(signature, digest.encode())
    except InvalidSignature:
        return False
    return True
