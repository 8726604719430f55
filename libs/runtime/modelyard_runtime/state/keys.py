"""The registry's signature on state documents: made with its private key, checked with its public ones.

The signature covers the whole record, as `modelyard_events.signing` says. A key's id is made of its public half,
so nobody has to name keys, and no two keys can be mixed up. The private key is a file in PEM, as OpenSSL writes it.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from modelyard_events.codec import Record
from modelyard_events.signing import Signed, Unclear, Unsigned, read_signature, signature_headers, signed_bytes

from modelyard_runtime.ed25519 import PUBLIC_KEY_BYTES, why_unusable

KEY_ID_CHARS = 16
KEY_FILE_MODE = 0o600


class StateKeyError(Exception):
    """A key for state documents cannot be used; the message says which and why."""


class StateSigner:
    """Signs state documents with one private key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        raw = private.public_key().public_bytes_raw()
        self.key_id = key_id_of(raw)
        self.public_key = base64.b64encode(raw).decode()
        self._private = private

    def sign(self, record: Record) -> Record:
        """The record with the two headers that carry its signature."""
        signature = self._private.sign(signed_bytes(record))
        return replace(record, headers=(*record.headers, *signature_headers(key_id=self.key_id, signature=signature)))


class StateKeys:
    """The public keys whose signatures count: one, or several while keys are rotated."""

    def __init__(self, public_keys: Sequence[str]) -> None:
        """Takes public keys in base64. Raises StateKeyError for one that is none, or that proves nothing."""
        self._by_id = dict(_parsed(each) for each in public_keys)

    def why_refused(self, record: Record) -> str | None:
        """Why a record is not one that a holder of these keys signed; None when it is."""
        match read_signature(record):
            case Unsigned():
                return "it carries no signature"
            case Unclear(detail=detail):
                return detail
            case Signed(key_id=key_id, signature=signature, message=message):
                key = self._by_id.get(key_id)
                if key is None:
                    return f"it is signed with the key {key_id}, which is not in MODELYARD_STATE_KEYS"
                try:
                    key.verify(signature, message)
                except InvalidSignature:
                    return f"its signature does not fit the key {key_id}"
        return None


def key_id_of(public_key: bytes) -> str:
    """The id of a public key: the beginning of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:KEY_ID_CHARS]


def make_key_file(file: Path) -> StateSigner:
    """Make a new private key in `file`, readable for its owner only. Raises StateKeyError when the file is there."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, KEY_FILE_MODE)
    except OSError as error:
        raise StateKeyError(f"cannot make the key file {file}: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as written:
        written.write(pem)
    return StateSigner(private)


def read_key_file(file: Path) -> StateSigner:
    """The signer whose private key is in `file`. Raises StateKeyError when there is none."""
    how = "make one with `python -m modelyard_registry.state_key make FILE`"
    try:
        private = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise StateKeyError(f"cannot read the key file {file}: {error.strerror}; {how}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StateKeyError(f"{file} holds no private key in PEM without a password; {how}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise StateKeyError(f"{file} holds a key of another kind than Ed25519; {how}")
    return StateSigner(private)


def _parsed(public_key: str) -> tuple[str, Ed25519PublicKey]:
    try:
        raw = base64.b64decode(public_key, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != PUBLIC_KEY_BYTES:
        raise StateKeyError(
            f"{public_key[:60]!r} is not an Ed25519 public key: send its {PUBLIC_KEY_BYTES} bytes in base64, "
            "as `python -m modelyard_registry.state_key show FILE` prints them"
        )
    if (unusable := why_unusable(raw)) is not None:
        raise StateKeyError(f"{public_key!r} proves nothing, for it is {unusable}")
    return key_id_of(raw), Ed25519PublicKey.from_public_bytes(raw)
