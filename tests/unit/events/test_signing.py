"""What a signature covers: recorded vectors, and that no byte of a signed record changes unnoticed."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given
from hypothesis import strategies as st
from modelyard_events.codec import Record
from modelyard_events.signing import (
    KEY_ID_HEADER,
    SIGNATURE_HEADER,
    Signed,
    Unclear,
    Unsigned,
    read_signature,
    signature_headers,
    signed_bytes,
)

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "signing.json").read_text())
PRIVATE = Ed25519PrivateKey.from_private_bytes(base64.b64decode(VECTORS["private_key"]))

names = st.sampled_from(["content-type", "ce_id", "ce_type", "ce_source", "ce_time", "CE_Subject", "ce_a", "ce_ab"])
headers = st.dictionaries(names, st.binary(max_size=8), max_size=6).map(lambda found: tuple(found.items()))
records = st.builds(
    lambda key, value, headers: Record(key=key, value=value, headers=headers),
    st.binary(max_size=8),
    st.binary(max_size=16),
    headers,
)


def signed(record: Record) -> Record:
    signature = PRIVATE.sign(signed_bytes(record))
    return replace(record, headers=(*record.headers, *signature_headers(key_id="key-1", signature=signature)))


def is_proved(record: Record) -> bool:
    read = read_signature(record)
    if not isinstance(read, Signed):
        return False
    try:
        PRIVATE.public_key().verify(read.signature, read.message)
    except InvalidSignature:
        return False
    return True


def meaning(record: Record) -> object:
    return (record.key, record.value, sorted((name.lower(), value) for name, value in record.headers))


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


@pytest.mark.parametrize("vector", VECTORS["records"], ids=lambda vector: vector["name"])
def test_the_recorded_signatures_hold_for_ever(vector: dict[str, Any]) -> None:
    record = Record(
        key=_bytes(vector["key"]),
        value=_bytes(vector["value"]),
        headers=tuple((name, _bytes(value)) for name, value in vector["headers"]),
    )

    assert signed_bytes(record) == _bytes(vector["signed_bytes"])
    assert PRIVATE.sign(signed_bytes(record)) == _bytes(vector["signature"])
    assert is_proved(signed(record))


@given(records, records)
def test_two_records_that_differ_are_signed_differently(one: Record, other: Record) -> None:
    assume(meaning(one) != meaning(other))

    assert signed_bytes(one) != signed_bytes(other)


@given(records, st.data())
def test_any_changed_byte_is_noticed(record: Record, data: st.DataObject) -> None:
    whole = signed(record)
    parts = [whole.key or b"", whole.value or b"", *(value or b"" for _, value in whole.headers)]
    place = data.draw(st.sampled_from([number for number, part in enumerate(parts) if part]))
    at = data.draw(st.integers(0, len(parts[place]) - 1))
    flip = data.draw(st.integers(1, 255))
    parts[place] = parts[place][:at] + bytes([parts[place][at] ^ flip]) + parts[place][at + 1 :]
    key, value, *values = parts
    changed = Record(
        key=key,
        value=value,
        headers=tuple((name, content) for (name, _), content in zip(whole.headers, values, strict=True)),
    )

    is_same_key = read_signature(changed) != read_signature(whole)
    assert not is_proved(changed) or is_same_key, "only the key's id is not covered: another key must not fit"


@given(records, st.randoms())
def test_the_order_of_headers_does_not_matter(record: Record, chance: Any) -> None:
    whole = signed(record)
    shuffled = list(whole.headers)
    chance.shuffle(shuffled)

    assert is_proved(replace(whole, headers=tuple(shuffled)))


@pytest.mark.parametrize("name", ["ce_id", "CE_ID", "content-type", KEY_ID_HEADER, SIGNATURE_HEADER.upper()])
def test_a_header_that_is_there_twice_is_refused(name: str) -> None:
    whole = signed(Record(key=b"k", value=b"{}", headers=(("ce_id", b"1"), ("content-type", b"application/json"))))

    doubled = replace(whole, headers=(*whole.headers, (name, b"1")))

    assert isinstance(read_signature(doubled), Unclear)


def test_a_covered_header_that_is_added_or_left_out_is_noticed_and_others_are_not_ours() -> None:
    whole = signed(Record(key=b"k", value=b"{}", headers=(("ce_id", b"1"), ("ce_type", b"t"))))

    assert not is_proved(replace(whole, headers=(*whole.headers, ("ce_actor", b"ada"))))
    assert not is_proved(replace(whole, headers=whole.headers[1:]))
    assert is_proved(replace(whole, headers=(*whole.headers, ("traceparent", b"00-aa"))))


@pytest.mark.parametrize(
    "carried",
    [
        ((KEY_ID_HEADER, b"key-1"),),
        ((SIGNATURE_HEADER, base64.b64encode(bytes(64))),),
        ((KEY_ID_HEADER, b"key-1"), (SIGNATURE_HEADER, None)),
        ((KEY_ID_HEADER, b"key-1"), (SIGNATURE_HEADER, base64.b64encode(bytes(63)))),
        ((KEY_ID_HEADER, b"key-1"), (SIGNATURE_HEADER, b"not base64!")),
        ((KEY_ID_HEADER, b"\xff"), (SIGNATURE_HEADER, base64.b64encode(bytes(64)))),
        ((KEY_ID_HEADER, b"k" * 101), (SIGNATURE_HEADER, base64.b64encode(bytes(64)))),
    ],
)
def test_half_a_proof_is_none(carried: tuple[tuple[str, bytes | None], ...]) -> None:
    assert isinstance(read_signature(Record(key=b"k", value=b"{}", headers=carried)), Unclear)


def test_a_record_without_a_proof_is_unsigned() -> None:
    assert read_signature(Record(key=b"k", value=b"{}", headers=(("ce_id", b"1"), ("ce_id", b"2")))) == Unsigned()
