"""The rules of signing keys that need no server."""

import base64
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from modelyard_events.topics import TOPICS, Kind
from modelyard_registry.gates.signatures import SignatureKey
from modelyard_registry.signing_keys.domain import PERMISSIONS
from modelyard_registry.signing_keys.http import IngestTopic
from modelyard_runtime.ed25519 import why_unusable
from pydantic import ValidationError

FIELD = 2**255 - 19
CURVE_D = -121665 * pow(121666, -1, FIELD) % FIELD

Point = tuple[int, int]


def added(one: Point, other: Point) -> Point:
    """The sum of two points on Ed25519's curve (RFC 8032, section 5.1.4, in plain coordinates)."""
    (x1, y1), (x2, y2) = one, other
    k = CURVE_D * x1 * x2 * y1 * y2 % FIELD
    return (x1 * y2 + x2 * y1) * pow(1 + k, -1, FIELD) % FIELD, (y1 * y2 + x1 * x2) * pow(1 - k, -1, FIELD) % FIELD


def x_of(y: int) -> int:
    square = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, FIELD) % FIELD
    root = pow(square, (FIELD + 3) // 8, FIELD)
    return root if root * root % FIELD == square else root * pow(2, (FIELD - 1) // 4, FIELD) % FIELD


def test_every_point_of_small_order_is_weak_in_each_of_its_encodings() -> None:
    of_order_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
    point = (x_of(of_order_8), of_order_8)
    found, each = set(), (0, 1)
    for _ in range(8):
        each = added(each, point)
        found.add(each)

    assert each == (0, 1), "eight times it is the neutral point"
    assert len(found) == 8
    for _, y in found:
        for encoded in {y, y + FIELD} if y + FIELD < 2**255 else {y}:
            assert why_unusable(encoded.to_bytes(32, "little"))
            assert why_unusable((encoded | 2**255).to_bytes(32, "little"))


def test_a_generated_key_is_not_weak() -> None:
    assert not any(why_unusable(Ed25519PrivateKey.generate().public_key().public_bytes_raw()) for _ in range(100))


def test_every_other_way_to_write_a_key_is_refused() -> None:
    beyond = [(FIELD + y).to_bytes(32, "little") for y in range(19)]

    assert all(why_unusable(encoded) for encoded in beyond)
    assert why_unusable((2).to_bytes(32, "little")), "no point of the curve has this y"
    assert why_unusable(b"short")


@pytest.mark.parametrize("raw", [bytes(32), (1).to_bytes(32, "little"), b"\xff" * 32, FIELD.to_bytes(32, "little")])
def test_a_policy_takes_no_signature_key_that_anyone_can_sign_for(raw: bytes) -> None:
    with pytest.raises(ValidationError):
        SignatureKey(key_id="release", public_key=base64.b64encode(raw).decode())


def test_every_topic_that_others_write_to_can_be_signed_for_with_its_permission() -> None:
    ingest = {topic.name for topic in TOPICS if topic.kind is Kind.INGEST}

    assert set(get_args(IngestTopic)) == set(PERMISSIONS)
    assert set(PERMISSIONS) == ingest
