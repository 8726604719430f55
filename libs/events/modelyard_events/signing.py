"""What a signature on an event covers: the whole Kafka record. Pure; who holds which key is not known here.

Covered are the record's key, its value, and the headers that say what it means: `content-type` and every `ce_*`.
Each part is preceded by its length, so no byte can move from one part to another unnoticed; headers are
sorted by name, so their order does not matter. Key id and signature travel in two headers of their own,
so binary and structured mode are signed alike, and whoever copies the record copies its proof.
"""

import base64
import binascii
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from modelyard_events.codec import CONTENT_TYPE, Record

LABEL = b"modelyard-signed-event.v1"
KEY_ID_HEADER = "modelyard_key_id"
SIGNATURE_HEADER = "modelyard_signature"
SIGNATURE_BYTES = 64
_SIGNATURE_HEADERS = frozenset({KEY_ID_HEADER, SIGNATURE_HEADER})
KEY_ID_CHARS_MAX = 100
LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A record that carries no signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A record with a signature that is still to be checked. `message` are the bytes that it must fit."""

    key_id: str
    signature: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class Unclear:
    """A record that cannot be read in one way only, or whose signature is none. `detail` is a sentence for people."""

    detail: str


def signed_bytes(record: Record) -> bytes:
    """The bytes that a signature on `record` is made over. An absent key, or value, counts as an empty one."""
    covered = sorted((name.lower(), value or b"") for name, value in record.headers if is_covered(name))
    parts = [LABEL, record.key or b"", record.value or b""]
    for name, value in covered:
        parts += [name.encode(errors="surrogateescape"), value]
    return b"".join(len(part).to_bytes(LENGTH_BYTES, "big") + part for part in parts)


def signature_headers(*, key_id: str, signature: bytes) -> tuple[tuple[str, bytes], ...]:
    """The two headers that carry a signature."""
    return (KEY_ID_HEADER, key_id.encode()), (SIGNATURE_HEADER, base64.b64encode(signature))


def read_signature(record: Record) -> Signed | Unsigned | Unclear:
    """The signature on a record, unchecked. Never raises; takes time linear in the record's size."""
    carried = {name.lower(): value for name, value in record.headers if _is_ours(name)}
    if not carried:
        return Unsigned()
    doubled = _doubled(name.lower() for name, _ in record.headers if is_covered(name) or _is_ours(name))
    if doubled is not None:
        return Unclear(f"the header {doubled} is there twice")
    key_id, encoded = carried.get(KEY_ID_HEADER), carried.get(SIGNATURE_HEADER)
    if not key_id or not encoded:
        return Unclear(f"a signed event carries both headers, {KEY_ID_HEADER} and {SIGNATURE_HEADER}")
    if len(key_id) > KEY_ID_CHARS_MAX or not key_id.isascii():
        return Unclear(f"{KEY_ID_HEADER} is not the id of a key")
    signature = _decoded(encoded)
    if signature is None:
        return Unclear(f"{SIGNATURE_HEADER} is not an Ed25519 signature in base64")
    return Signed(key_id=key_id.decode(), signature=signature, message=signed_bytes(record))


def is_signed(record: Record) -> bool:
    """Whether a record carries a header of a signature, whatever it is worth."""
    return not _SIGNATURE_HEADERS.isdisjoint([name.lower() for name, _ in record.headers])


def is_covered(name: str) -> bool:
    """Whether a header of that name is part of what is signed."""
    lower = name.lower()
    return lower == CONTENT_TYPE or lower.startswith("ce_")


def _is_ours(name: str) -> bool:
    return name.lower() in _SIGNATURE_HEADERS


def _doubled(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _decoded(encoded: bytes) -> bytes | None:
    try:
        signature = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    return signature if len(signature) == SIGNATURE_BYTES else None
