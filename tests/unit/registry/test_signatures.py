"""Whose signature a version carries."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from modelyard_registry.gates.signatures import SIGNATURE_BYTES, SignatureKey, find_signer
from pydantic import ValidationError

DIGEST = "sha256:" + "9f" * 32
RELEASE, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SIGNED = RELEASE.sign(DIGEST.encode())


def key_of(private: Ed25519PrivateKey, name: str) -> SignatureKey:
    return SignatureKey(key_id=name, public_key=base64.b64encode(private.public_key().public_bytes_raw()).decode())


KEYS = (key_of(OTHER, "other"), key_of(RELEASE, "release"))


@pytest.mark.parametrize("attached", [SIGNED, base64.b64encode(SIGNED), base64.b64encode(SIGNED) + b"\n"])
def test_a_signature_counts_raw_and_in_base64(attached: bytes) -> None:
    found = find_signer(attached, digest=DIGEST, keys=KEYS)

    assert found.signed_by == "release"
    assert "the key release" in found.reason


@pytest.mark.parametrize(
    ("attached", "why"),
    [
        (None, "Nothing that can be a signature is attached"),
        (b"no base64!", "is no Ed25519 signature"),
        (base64.b64encode(SIGNED[:-1]), "is no Ed25519 signature"),
        (SIGNED[:-1], "is no Ed25519 signature"),
        (base64.b64encode(SIGNED)[:40] + b" !" + base64.b64encode(SIGNED)[40:], "is no Ed25519 signature"),
        (bytes(SIGNATURE_BYTES), "none of the keys other, release"),
        (RELEASE.sign(b"another digest"), "none of the keys other, release"),
        (Ed25519PrivateKey.generate().sign(DIGEST.encode()), "none of the keys other, release"),
    ],
)
def test_what_none_of_the_keys_signed_is_signed_by_nobody(attached: bytes | None, why: str) -> None:
    found = find_signer(attached, digest=DIGEST, keys=KEYS)

    assert found.signed_by is None
    assert why in found.reason


def test_without_keys_nobody_has_signed() -> None:
    assert find_signer(SIGNED, digest=DIGEST, keys=()).signed_by is None


def test_a_key_that_anyone_can_sign_for_is_refused() -> None:
    with pytest.raises(ValidationError, match="AAAA= is"):
        SignatureKey(key_id="release", public_key=base64.b64encode(bytes(32)).decode())


def test_a_key_is_kept_as_it_was_given() -> None:
    text = base64.b64encode(RELEASE.public_key().public_bytes_raw()).decode()

    assert SignatureKey(key_id="release", public_key=text).public_key == text
