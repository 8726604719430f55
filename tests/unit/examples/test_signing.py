"""The examples sign as the recorded vectors say, without knowing anything of ours."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from modelyard_examples.signing import SenderKey, read_signing_key

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "signing.json").read_text())
KEY = SenderKey(key_id="key-1", private=Ed25519PrivateKey.from_private_bytes(base64.b64decode(VECTORS["private_key"])))


@pytest.mark.parametrize("vector", VECTORS["records"], ids=lambda vector: vector["name"])
def test_an_outsider_makes_the_recorded_signatures(vector: dict[str, Any]) -> None:
    proof = KEY.proof(
        key=base64.b64decode(vector["key"]),
        value=base64.b64decode(vector["value"]),
        headers=[(name, base64.b64decode(value)) for name, value in vector["headers"]],
    )

    assert proof == [("modelyard_key_id", b"key-1"), ("modelyard_signature", vector["signature"].encode())]


def test_a_key_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "training.json"

    KEY.write(file)

    kept = read_signing_key(file)
    assert (kept.key_id, kept.private.private_bytes_raw()) == (KEY.key_id, KEY.private.private_bytes_raw())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
