"""Hashes a unit to a draw and a bucket. The result is the same in every process, for ever.

`H(domain, salt, unit) = xxh3_64(parts)`, where the parts are the domain, the salt and the unit's own
parts (tenant, unit type, unit id), each written as its length in bytes (4 bytes, big-endian) followed
by its NFC-normalised UTF-8. An absent part is the length `FFFFFFFF` alone, so that absent and empty
differ. A draw falls into bucket `(H * 10_000) >> 64` of 10,000, one for each basis point.

Golden vectors in `tests/vectors/` hold all of this; they are never edited.
"""

from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b

from modelyard_events.identifiers import normalised_id
from xxhash import xxh3_64_intdigest

BUCKETS = 10_000
"""One bucket for each basis point."""

UNIT_TYPE_DEFAULT = "user"

_ABSENT = b"\xff\xff\xff\xff"
_LENGTHS = tuple(length.to_bytes(4, "big") for length in range(512))
_UNIT_HASH_BYTES = 16


class Domain(StrEnum):
    """The purpose of a draw. Draws of different domains are independent.

    Nothing draws for `HOLDOUT`, `LAYER` and `ENDPOINT` yet. Golden vectors hold their draws, so the names stay.
    """

    HOLDOUT = "holdout"
    LAYER = "layer"
    EXPOSE = "expose"
    ARM = "arm"
    SHADOW = "shadow"
    ENDPOINT = "endpoint"


def part(text: str | None) -> bytes:
    """Return one part to be hashed: its length, then NFC UTF-8. Raises UnicodeEncodeError for a lone surrogate."""
    if text is None:
        return _ABSENT
    raw = normalised_id(text).encode()
    length = len(raw)
    return (_LENGTHS[length] if length < 512 else length.to_bytes(4, "big")) + raw


def unit_key(*, tenant: str | None, unit_id: str, unit_type: str = UNIT_TYPE_DEFAULT) -> bytes:
    """Return the parts of a unit. The same id is another unit for another tenant or unit type."""
    return _owner(tenant, unit_type) + part(unit_id)


def prefix(domain: Domain, *, salt: str) -> bytes:
    """Return the parts that come before the unit. They are the same for all units of one draw."""
    return part(domain.value) + part(salt)


def bucket_of(drawn_from: bytes, *, unit: bytes) -> int:
    """Return the bucket, 0 to 9,999, of a `unit_key` (or other `part`) in the draw with this `prefix`."""
    return (xxh3_64_intdigest(drawn_from + unit) * BUCKETS) >> 64


def draw(drawn_from: bytes, unit: bytes) -> int:
    """Return the draw, 0 to 2^64 - 1; compare it with the threshold of a share (`allocation`)."""
    return xxh3_64_intdigest(drawn_from + unit)


def unit_hash(unit: bytes, *, secret: bytes = b"") -> str:
    """Return the hash that stands for a unit outside the router: 32 hexadecimal digits.

    The tenant is part of `unit`. With a `secret` (64 bytes at most), ids cannot be found by hashing guesses.
    """
    return blake2b(unit, digest_size=_UNIT_HASH_BYTES, key=secret).hexdigest()


@lru_cache(maxsize=4_096)
def _owner(tenant: str | None, unit_type: str) -> bytes:
    return part(tenant) + part(unit_type)
